//! `watchfloor doctor` from outside: what it prints, what its exit code says, and that it never prints a key; because
//! people decide by it which model they let near their cases.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use watchfloor::model::server::puppet::Puppet;
use watchfloor::model::server::{ScriptedServer, Setup, Style};

const KEY: &str = "s3cret-of-the-test";

/// Runs the doctor beside the servers of this test.
async fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfloor"));
    command.arg("doctor").args(arguments).stdin(Stdio::null()).env("TEST_MODEL_KEY", KEY).env_remove("TEST_NO_KEY");
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("nothing panics").expect("the program runs");
    let text = printed(&output);
    assert!(!text.contains("panicked") && !text.contains(KEY), "{text}");
    output
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn serving(puppet: Puppet) -> ScriptedServer {
    let setup = Setup { style: Style::LlamaCpp, key: Some(KEY.into()), ..Setup::new(puppet) };
    ScriptedServer::start(setup).await.expect("a port is free")
}

#[tokio::test]
async fn a_server_that_is_not_configured_is_tried_and_its_settings_are_printed() {
    let server = serving(Puppet::Fencing).await;
    let url = server.base_url();
    let tried = doctor(&["--url", &url, "--model", "scripted", "--api-key-env", "TEST_MODEL_KEY"]).await;
    let text = printed(&tried);
    assert_eq!(tried.status.code(), Some(1), "{text}");
    for line in
        ["[models.local]", "dialect = \"constrained\"", "tokenizer = \"llama_cpp\"", "api_key_env = \"TEST_MODEL_KEY\""]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn the_exit_code_says_whether_anything_is_to_be_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("watchfloor.toml");
    let config = file.to_str().expect("a plain path");
    let write = |url: &str, more: &str| {
        let text = format!(
            "[models.it]\nbase_url = \"{url}\"\nmodel = \"scripted\"\ncontext_tokens = 8192\nconnect_seconds = 1\n{more}\n"
        );
        std::fs::write(&file, text).expect("it is written");
    };
    let server = serving(Puppet::Able).await;
    let fitting = "tokenizer = \"llama_cpp\"\napi_key_env = \"TEST_MODEL_KEY\"";
    write(&server.base_url(), fitting);
    let good = doctor(&["--config", config]).await;
    assert_eq!(good.status.code(), Some(0), "{}", printed(&good));
    write(&server.base_url(), &format!("{fitting}\ndialect = \"constrained\""));
    let json = doctor(&["--config", config, "--json", "it"]).await;
    assert_eq!(json.status.code(), Some(1), "{}", printed(&json));
    let json: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(json["models"][0]["report"]["dialect"], "native");
    write("http://127.0.0.1:9/v1", fitting);
    let gone = doctor(&["--config", config]).await;
    assert_eq!(gone.status.code(), Some(2), "{}", printed(&gone));
    assert!(printed(&gone).contains("cannot be reached"), "{}", printed(&gone));
    write(&server.base_url(), "api_key_env = \"TEST_NO_KEY\"");
    let no_key = doctor(&["--config", config]).await;
    assert_eq!(no_key.status.code(), Some(2), "{}", printed(&no_key));
    assert!(printed(&no_key).contains("TEST_NO_KEY is not set"), "{}", printed(&no_key));
    let unknown = doctor(&["--config", config, "other"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(printed(&unknown).contains("names no model other, but it"), "{}", printed(&unknown));
}

#[tokio::test]
async fn what_is_declared_stands_beside_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("watchfloor.toml");
    let config = file.to_str().expect("a plain path");
    let headers =
        vec![("x-ratelimit-limit-requests", "500".to_owned()), ("x-ratelimit-limit-tokens", "90000".to_owned())];
    let setup = Setup { style: Style::LlamaCpp, slots: 2, headers, ..Setup::new(Puppet::Able) };
    let server = ScriptedServer::start(setup).await.expect("a port is free");
    let model = format!("base_url = \"{}\"\nmodel = \"scripted\"\ntokenizer = \"llama_cpp\"\n", server.base_url());
    let text = format!(
        "[models.big]\n{model}context_tokens = 8192\nrequests_per_minute = 600\ntokens_per_minute = 6000\nfallback = \"small\"\n\
         price = {{ currency = \"USD\", input = 2.5, output = 10 }}\n[models.small]\n{model}context_tokens = 4096\ncalls_in_flight = 2\n"
    );
    std::fs::write(&file, &text).expect("it is written");
    let tried = doctor(&["--config", config, "big"]).await;
    let told = printed(&tried);
    assert_eq!(tried.status.code(), Some(1), "{told}");
    for line in [
        "600 are declared, and the server says 500, which is kept to",
        "requests_per_minute = 500",
        "6000 are declared, and the server says 90000",
        "8192 tokens, and the limit lets 6000 through in a minute",
        "4 calls may be under way, and the server has 2 slots",
        "calls_in_flight = 2",
        "2.5 in, 10 out, in USD a million tokens, as declared",
        "small takes 4096 tokens, this one 8192",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let small = printed(&doctor(&["--config", config, "small"]).await);
    assert!(small.contains("none are declared, and the server says 500"), "{small}");
    assert!(small.contains("none is declared: what calls cost stays unknown"), "{small}");
    std::fs::write(&file, text.replace("\"small\"", "\"smal\"")).expect("it is written");
    let slip = doctor(&["--config", config]).await;
    assert_eq!(slip.status.code(), Some(2), "{}", printed(&slip));
    assert!(printed(&slip).contains("[models.big] names the fallback `smal`, and there is no model smal, but small"));
}
