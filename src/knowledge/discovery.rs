//! Commands by which somebody looks around on a machine and in its domain.

use super::command::folded;
use super::paths;

/// What a command asks about: the program and, where the program does more than ask, the words that make it a question.
const QUESTIONS: [(&str, &[&str], &str); 24] = [
    ("whoami.exe", &[], "who am I"),
    ("net.exe", &[" user"], "accounts"),
    ("net.exe", &[" group"], "groups"),
    ("net.exe", &["localgroup"], "local groups"),
    ("net.exe", &[" view"], "neighbours"),
    ("net.exe", &["accounts"], "password policy"),
    ("net.exe", &[" share"], "shares"),
    ("net.exe", &["config"], "the workstation's domain"),
    ("net1.exe", &[" user"], "accounts"),
    ("net1.exe", &[" group"], "groups"),
    ("net1.exe", &["localgroup"], "local groups"),
    ("nltest.exe", &[], "domain controllers and trusts"),
    ("systeminfo.exe", &[], "the system"),
    ("ipconfig.exe", &[], "addresses"),
    ("arp.exe", &[], "neighbours by address"),
    ("route.exe", &["print"], "routes"),
    ("netstat.exe", &[], "connections"),
    ("quser.exe", &[], "sessions"),
    ("qwinsta.exe", &[], "sessions"),
    ("tasklist.exe", &[], "processes"),
    ("hostname.exe", &[], "the name"),
    ("dsquery.exe", &[], "the directory"),
    ("setspn.exe", &["-q"], "service accounts"),
    ("cmdkey.exe", &["/list"], "saved credentials"),
];

/// What this command asks about, if it only asks.
#[must_use]
pub fn question(image: &str, command: &str) -> Option<&'static str> {
    let name = paths::base_name(image);
    let text = folded(command);
    // With these it does not ask, it changes.
    if ["/add", "/delete", "/active", "/release", "/renew", "/flushdns"].iter().any(|word| text.contains(word)) {
        return None;
    }
    let fits =
        |(program, words, _): &&(&str, &[&str], &str)| name == *program && words.iter().all(|word| text.contains(word));
    QUESTIONS.iter().find(fits).map(|(.., what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_is_told_from_changing() {
        assert_eq!(question("C:\\Windows\\System32\\net.exe", "net group \"Domain Admins\" /domain"), Some("groups"));
        assert_eq!(question("C:\\Windows\\System32\\net.exe", "net user a b /add"), None);
        assert_eq!(question("C:\\Windows\\System32\\ipconfig.exe", "ipconfig /flushdns"), None);
        assert_eq!(question("C:\\Windows\\System32\\cmd.exe", "cmd /c whoami"), None);
    }
}
