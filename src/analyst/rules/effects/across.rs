//! Effects that only several events together show: written then run, sent then loaded, one step after another.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::super::content;
use super::super::feature::{Feature, MODERATE, STRONG, VERY_STRONG, WEAK};
use super::super::seen::{Seen, SeenEvent};
use crate::domain::event::SYSMON;
use crate::domain::evidence::Family;
use crate::knowledge::command::{self, Capability, Reading};
use crate::knowledge::{discovery, guid, paths, programs};

/// Distinct questions in this time are somebody looking around (Elastic's burst).
const BURST: SignedDuration = SignedDuration::from_mins(5);

/// Features that several events make together.
pub fn features(seen: &Seen) -> Vec<Feature> {
    let found = [
        written_then_run(seen),
        written_then_loaded(seen),
        put_down_reached_out(seen),
        stager_connected(seen),
        injected_acts(seen),
        super::recovery::steps(seen),
        discovery_burst(seen),
        tickets_harvested(seen),
        service_ran(seen),
        consumer_ran(seen),
        machines_probed(seen),
        account_made_powerful(seen),
        nothing_else(seen),
    ];
    found.into_iter().flatten().chain(remote_session(seen)).collect()
}

/// A program was written to disk and then started. People download and start programs; shells seldom do.
fn written_then_run(seen: &Seen) -> Option<Feature> {
    let starts: Vec<&SeenEvent> = seen.starts().collect();
    let mut found = seen.events.values().filter(|event| event.view.is_sysmon(11)).filter_map(|written| {
        let (file, writer) = (written.get("TargetFilename")?, written.image()?);
        let run = starts.iter().find(|start| {
            start.view.time >= written.view.time
                && start.view.host == written.view.host
                && start.image().is_some_and(|image| image.eq_ignore_ascii_case(file))
        })?;
        let foreign = programs::is_shell(writer)
            || programs::is_proxy(writer)
            || programs::is_reader(writer)
            || writer.eq_ignore_ascii_case("system");
        foreign.then_some(())?;
        let name = paths::base_name(file);
        let says = match writer.eq_ignore_ascii_case("system") {
            // The kernel writes for whoever came over the network.
            true => format!("{name} was copied here over the network{} and then started", by_whom(written, seen)),
            false => format!("{name} was written by {} ({}) and then started", paths::base_name(writer), written.id),
        };
        run.feature("written, then run", Family::Effect, STRONG, &["Image"], says)
    });
    found.next()
}

/// Who copied a file over the network and from where, as far as an access to a share or a session near it shows it.
fn by_whom(written: &SeenEvent, seen: &Seen) -> String {
    let file = written.get("TargetFilename").map(paths::base_name).unwrap_or_default();
    let near = |event: &&SeenEvent| {
        event.view.host == written.view.host
            && event.view.time.duration_since(written.view.time).abs() <= SignedDuration::from_mins(2)
            && event.get("IpAddress").is_some_and(|address| !is_loopback(address))
    };
    let share = |event: &&SeenEvent| {
        event.is_security(5145) && event.get("RelativeTargetName").is_some_and(|name| paths::base_name(name) == file)
    };
    let session = |event: &&SeenEvent| event.is_security(4624) && event.get("LogonType") == Some("3");
    let of_share = seen.events.values().filter(near).find(share);
    // A session that only stands near it in time counts if it is the only one.
    let mut sessions = seen.events.values().filter(near).filter(session);
    let of_session = sessions.next().filter(|first| sessions.all(|other| other.account() == first.account()));
    let Some(event) = of_share.or(of_session) else { return format!(" ({})", written.id) };
    let account = event.account().unwrap_or_else(|| "an account that is not recorded".into());
    format!(" by {account} from {} ({})", event.get("IpAddress").unwrap_or_default(), event.id)
}

/// A library was written and then loaded by a program of Windows.
fn written_then_loaded(seen: &Seen) -> Option<Feature> {
    let loads: Vec<&SeenEvent> = seen.events.values().filter(|event| event.view.is_sysmon(7)).collect();
    seen.events.values().filter(|event| event.view.is_sysmon(11)).find_map(|written| {
        let file = written.get("TargetFilename").filter(|file| file.to_lowercase().ends_with(".dll"))?;
        let load = loads.iter().find(|load| {
            let unsigned = load.get("Signed").is_none_or(|signed| signed.eq_ignore_ascii_case("false"));
            unsigned
                && load.view.time >= written.view.time
                && load.view.host == written.view.host
                && load.get("ImageLoaded").is_some_and(|library| library.eq_ignore_ascii_case(file))
                && load.image().is_some_and(|image| paths::class(image) == paths::PathClass::System)
        })?;
        let says =
            format!("{} was written ({}) and then loaded by a program of Windows", paths::base_name(file), written.id);
        load.feature("written, then loaded", Family::Effect, STRONG, &["ImageLoaded", "Image"], says)
            .map(Feature::active)
    })
}

/// A program that was put down where things are not installed, by a shell or by one that fetches, has connected: whoever
/// put it there may now steer it.
fn put_down_reached_out(seen: &Seen) -> Option<Feature> {
    let is_put_down = |image: &str| {
        let writes = seen.events.values().filter(|event| event.view.is_sysmon(11));
        let by_hand = |writer: &str| programs::is_shell(writer) || programs::is_proxy(writer);
        let mut of_it =
            writes.filter(|event| event.get("TargetFilename").is_some_and(|f| f.eq_ignore_ascii_case(image)));
        paths::is_drop_zone(image) && of_it.any(|event| event.image().is_some_and(by_hand))
    };
    let reached = |event: &&SeenEvent| {
        event.view.is_sysmon(3)
            && event.get("Initiated").is_none_or(|value| value.eq_ignore_ascii_case("true"))
            && event.get("DestinationIp").is_some_and(|address| !is_loopback(address))
            && event.image().is_some_and(is_put_down)
    };
    let first = seen.related().filter(reached).min_by_key(|event| event.view.time)?;
    let (address, port) = (first.get("DestinationIp")?, first.get("DestinationPort").unwrap_or("(not recorded)"));
    let same = |event: &&SeenEvent| event.process() == first.process() && event.get("DestinationIp") == Some(address);
    let mut times: Vec<_> = seen.related().filter(reached).filter(same).map(|event| event.view.time).collect();
    times.sort();
    let often = match regular(&times) {
        Some(seconds) => format!(", {} times seen, about every {seconds} s", times.len()),
        None => String::new(),
    };
    let name = first.image().map(paths::base_name).unwrap_or_default();
    let says = format!("{name}, which was put down there, connected to {address} port {port}{often}");
    let fields = ["DestinationIp", "DestinationPort", "Image"];
    first.feature("program put down reached out", Family::Effect, STRONG, &fields, says).map(Feature::active)
}

/// The seconds between instants that follow one another regularly: at least four, none of the gaps a third off the
/// middle one.
fn regular(times: &[jiff::Timestamp]) -> Option<i64> {
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect();
    gaps.sort_unstable();
    let middle = *gaps.get(gaps.len() / 2).filter(|_| gaps.len() >= 3)?;
    (middle > 0 && gaps.iter().all(|gap| (gap - middle).abs() * 3 <= middle)).then_some(middle)
}

/// A concealed command that fetches or unwraps code has connected: what it was to fetch or obey has been reached.
fn stager_connected(seen: &Seen) -> Option<Feature> {
    let connections: Vec<&SeenEvent> = seen.related().filter(|event| event.view.is_sysmon(3)).collect();
    seen.related().find_map(|event| {
        let (process, _) = stages(event)?;
        let connection = connections.iter().find(|connection| match process.is_empty() {
            // A script block names its process by number only.
            true => {
                connection.view.host == event.view.host
                    && connection.get("ProcessId").is_some()
                    && connection.get("ProcessId") == event.view.writer_pid.as_deref()
            }
            false => connection.process() == process,
        })?;
        let address = connection.get("DestinationIp")?;
        if is_loopback(address) {
            return None;
        }
        let says = format!("the hidden command's process ({}) reached {address}", event.id);
        let feature =
            connection.feature("hidden command reached out", Family::Effect, STRONG, &["DestinationIp", "Image"], says);
        feature.map(Feature::active)
    })
}

/// The process whose own or parent's command is concealed and fetches or unwraps code to run it.
fn stages(event: &SeenEvent) -> Option<(String, Reading)> {
    let is_stager = |reading: &Reading| {
        let fetches = reading.has(Capability::Download);
        let unwraps = reading.has(Capability::ExecuteInMemory) && reading.has(Capability::Decode);
        reading.is_concealed() && (fetches || unwraps)
    };
    let own = content::reading(event).map(|reading| (event.process(), reading));
    let of_parent = || {
        let process = event.get("ParentProcessGuid").map(guid::folded)?;
        Some((process, command::read(event.get("ParentCommandLine")?)))
    };
    own.filter(|(_, reading)| is_stager(reading)).or_else(|| of_parent().filter(|(_, reading)| is_stager(reading)))
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a thread was planted in then talked or started something, and had no business to.
fn injected_acts(seen: &Seen) -> Option<Feature> {
    let threads = seen.related().filter(|event| event.view.is_sysmon(8));
    threads.filter(|thread| !super::super::fingerprint::is_system_thread(thread)).find_map(|thread| {
        let target = thread.get("TargetProcessGuid").or_else(|| thread.get("TargetProcessGUID")).map(guid::folded)?;
        let quiet = thread.get("TargetImage").is_some_and(programs::is_quiet);
        let unbacked = thread.get("StartModule").is_none();
        if !(quiet || unbacked) {
            return None;
        }
        let acted = seen.events.values().find(|event| {
            event.view.time >= thread.view.time
                && (event.view.is_sysmon(3) && event.process() == target
                    || event.view.is_sysmon(1) && event.names("ParentProcessGuid", &target))
        })?;
        let name = thread.get("TargetImage").map(paths::base_name).unwrap_or_default();
        let did = if acted.view.is_sysmon(3) { "connected" } else { "started a program" };
        let says = format!("{name}, in which a thread was planted ({}), then {did}", thread.id);
        let fields: &[&str] =
            if acted.view.is_sysmon(3) { &["DestinationIp", "Image"] } else { &["ParentImage", "Image"] };
        acted.feature("injected program acts", Family::Effect, STRONG, fields, says).map(Feature::active)
    })
}

/// Distinct questions in five minutes from one parent or session.
fn discovery_burst(seen: &Seen) -> Option<Feature> {
    let asked: Vec<(&SeenEvent, &'static str)> = seen
        .starts()
        .filter_map(|start| {
            Some((start, discovery::question(start.image()?, start.get("CommandLine").unwrap_or_default())?))
        })
        .collect();
    let most = asked.iter().map(|(first, _)| {
        let near = asked.iter().filter(|(other, _)| {
            let after = other.view.time.duration_since(first.view.time);
            other.view.host == first.view.host && after >= SignedDuration::ZERO && after <= BURST
        });
        (near.map(|(_, what)| *what).collect::<BTreeSet<_>>(), *first)
    });
    let (questions, first) = most.max_by_key(|(questions, _)| questions.len())?;
    let value = match questions.len() {
        0..=3 => return None,
        4..=6 => MODERATE,
        _ => STRONG,
    };
    let says = format!(
        "{} questions within five minutes: {}",
        questions.len(),
        questions.into_iter().collect::<Vec<_>>().join(", ")
    );
    let field = if first.get("CommandLine").is_some() { "CommandLine" } else { "Image" };
    first.feature("looks around", Family::Effect, value, &[field], says)
}

/// RC4 tickets of several services for one account within minutes.
fn tickets_harvested(seen: &Seen) -> Option<Feature> {
    let mut services: BTreeMap<&str, (BTreeSet<&str>, &SeenEvent)> = BTreeMap::new();
    for event in seen.events.values().filter(|event| event.is_security(4769)) {
        let weak = event
            .get("TicketEncryptionType")
            .is_some_and(|kind| matches!(kind.to_lowercase().as_str(), "0x17" | "0x18"));
        let (Some(account), Some(service)) = (event.get("TargetUserName"), event.get("ServiceName")) else { continue };
        if weak && !service.ends_with('$') && !service.eq_ignore_ascii_case("krbtgt") {
            services.entry(account).or_insert_with(|| (BTreeSet::new(), event)).0.insert(service);
        }
    }
    let (account, (names, event)) = services.into_iter().max_by_key(|(_, (names, _))| names.len())?;
    (names.len() >= 3).then(|| {
        let says = format!("{account} asked for RC4 tickets of {} services", names.len());
        let fields = ["TargetUserName", "ServiceName", "TicketEncryptionType"];
        event.feature("service tickets harvested", Family::Effect, VERY_STRONG, &fields, says).map(Feature::at_victim)
    })?
}

/// The service that was installed was started.
fn service_ran(seen: &Seen) -> Option<Feature> {
    let installed = seen.events.values().filter(|event| event.view.code == 7045 || event.is_security(4697));
    let commands: Vec<&str> =
        installed.filter_map(|event| event.get("ImagePath").or_else(|| event.get("ServiceFileName"))).collect();
    let plain = |text: &str| text.to_lowercase().replace(['"', ' '], "").replace("%comspec%", "cmd.exe");
    seen.starts().find_map(|start| {
        let by_services = start.parent().is_some_and(|parent| paths::base_name(parent) == "services.exe");
        let ran = plain(start.get("CommandLine")?);
        let same = |command: &&&str| {
            let command = plain(command);
            let shared: usize = command.len().min(ran.len()).min(60);
            shared >= 12
                && (ran.ends_with(&command)
                    || command.ends_with(&ran)
                    || ran.get(ran.len() - shared..) == command.get(command.len() - shared..))
        };
        let foul = super::is_interpreter(start.get("CommandLine")?) || start.image().is_some_and(paths::is_drop_zone);
        (by_services && foul && commands.iter().any(|command| same(&command))).then(|| {
            start.feature(
                "new service started",
                Family::Effect,
                MODERATE,
                &["CommandLine", "ParentImage"],
                "the service that was installed was started",
            )
        })?
    })
}

/// WMI's host of script consumers was started: a consumer runs.
fn consumer_ran(seen: &Seen) -> Option<Feature> {
    let started =
        seen.starts().find(|start| start.image().is_some_and(|image| paths::base_name(image) == "scrcons.exe"))?;
    started.feature("WMI script consumer ran", Family::Effect, MODERATE, &["Image"], "a script consumer of WMI was run")
}

/// A person's account reached for the service managers of several machines within minutes: who may install a service
/// there is being tried out.
fn machines_probed(seen: &Seen) -> Option<Feature> {
    let mut machines: BTreeMap<&str, (BTreeSet<&str>, &SeenEvent)> = BTreeMap::new();
    for event in seen.events.values().filter(|event| event.view.channel == "Security") {
        let manager = matches!(event.view.code, 4656 | 4674)
            && event.get("ObjectType").is_some_and(|kind| kind.eq_ignore_ascii_case("SC_MANAGER OBJECT"));
        let pipe = event.view.code == 5145
            && event.get("RelativeTargetName").is_some_and(|name| name.eq_ignore_ascii_case("svcctl"));
        let Some(account) = event.get("SubjectUserName").filter(|account| !account.ends_with('$')) else { continue };
        if manager || pipe {
            machines.entry(account).or_insert_with(|| (BTreeSet::new(), event)).0.insert(event.view.host.key());
        }
    }
    let (account, (hosts, event)) = machines.into_iter().max_by_key(|(_, (hosts, _))| hosts.len())?;
    let says = format!("{account} reached for the service managers of {} machines", hosts.len());
    (hosts.len() >= 2).then(|| {
        event
            .feature(
                "machines probed",
                Family::Effect,
                STRONG,
                &["SubjectUserName", "ObjectType", "RelativeTargetName"],
                says,
            )
            .map(Feature::at_victim)
    })?
}

/// An account was made and made powerful.
fn account_made_powerful(seen: &Seen) -> Option<Feature> {
    let made = seen.events.values().find(|event| event.is_security(4720))?;
    let joined = seen
        .events
        .values()
        .find(|event| matches!(event.view.code, 4728 | 4732 | 4756) && event.view.channel == "Security")?;
    let same = made.get("TargetSid").zip(joined.get("MemberSid")).is_some_and(|(one, other)| one == other);
    same.then(|| {
        joined.feature(
            "new account made powerful",
            Family::Effect,
            MODERATE,
            &["TargetUserName", "MemberSid"],
            "a new account was given rights at once",
        )
    })?
}

/// The process ran in a session that another machine opened.
fn remote_session(seen: &Seen) -> Option<Feature> {
    let sessions: Vec<&SeenEvent> =
        seen.events.values().filter(|event| event.is_security(4624) && event.get("LogonType") == Some("3")).collect();
    seen.starts().find_map(|start| {
        let session = start.get("LogonId")?;
        let runs_commands = start
            .image()
            .is_some_and(|image| programs::is_shell(image) || programs::is_proxy(image) || paths::is_drop_zone(image));
        let opened = sessions.iter().find(|event| {
            event.view.host == start.view.host
                && event.get("TargetLogonId").is_some_and(|id| id.eq_ignore_ascii_case(session))
        })?;
        let address = opened.get("IpAddress").filter(|address| !is_loopback(address))?;
        let says = format!("a shell ran ({}) in a session that {address} opened over the network", start.id);
        runs_commands.then(|| {
            opened.feature(
                "shell in a session from elsewhere",
                Family::Network,
                MODERATE,
                &["IpAddress", "LogonType", "TargetUserName"],
                says,
            )
        })?
    })
}

/// A program that may well talk to others was looked at and contacted nobody, while the sensor that would show it lived.
/// Of programs that never talk, silence says nothing.
fn nothing_else(seen: &Seen) -> Option<Feature> {
    if seen.related().any(|event| event.view.is_sysmon(3)) {
        return None;
    }
    let of_network = seen.absences.iter().filter(|absence| absence.channel == SYSMON && absence.code == 3);
    let (absence, image) =
        of_network.filter_map(|absence| Some((absence, seen.program_of(absence)?))).find(|(_, image)| {
            programs::is_loose(image) || programs::hosts_powershell(image) || programs::is_browser(image)
        })?;
    let name = paths::base_name(image);
    Some(Feature {
        name: "no network",
        family: Family::Network,
        value: -WEAK,
        says: format!("no network event of {name} is in the log, and the sensor reported before and after"),
        evidence: absence.id,
        quotes: vec![],
        harm: super::super::feature::Harm::Latent,
    })
}
