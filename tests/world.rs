//! The compose file and the world file agree, and the documents that can be checked are true.

mod structure;

use std::{fs, net::IpAddr};

use e2e::way::root;
use serde_yaml_ng::Value;
use world::World;

fn compose() -> Value {
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let mut value: Value = serde_yaml_ng::from_str(&text).unwrap();
    value.apply_merge().unwrap();
    value
}

/// As compose does without an environment.
fn with_defaults(text: &str) -> String {
    text.replace("${LAB_NET:-10.78}", "10.78").replace("${LAB_NET6:-fd10:78:1ab}", "fd10:78:1ab")
}

#[test]
fn every_host_is_a_container_with_its_addresses() {
    let (compose, world) = (compose(), World::built_in());
    for (name, host) in &world.hosts {
        let service = &compose["services"][name.as_str()];
        let net = &service["networks"]["lab"];
        let mut addresses = vec![];
        for family in ["ipv4_address", "ipv6_address"] {
            addresses.push(with_defaults(net[family].as_str().unwrap_or_else(|| panic!("{name}: no {family}"))));
        }
        let expected: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, expected, "{name}");
        let program = if host.nameserver.is_some() {
            "/bin/nameserver"
        } else if host.resolver.is_some() {
            "/bin/resolver"
        } else {
            "/bin/app"
        };
        let entrypoint: Vec<&str> =
            service["entrypoint"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(entrypoint, [program, "--world", "/lab/world.toml", "--host", name], "{name}");
        let check: Vec<&str> =
            service["healthcheck"]["test"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(check, ["CMD", program, "healthcheck", "--world", "/lab/world.toml", "--host", name], "{name}");
    }
}

#[test]
fn no_container_is_unknown_to_the_world() {
    let (compose, world) = (compose(), World::built_in());
    for name in compose["services"].as_mapping().unwrap().keys().filter_map(Value::as_str) {
        assert!(name == "visit" || world.hosts.contains_key(name), "{name}");
    }
}

#[test]
fn the_networks_are_the_same() {
    let (compose, world) = (compose(), World::built_in());
    let config = compose["networks"]["lab"]["ipam"]["config"].as_sequence().unwrap();
    let subnets: Vec<String> = config.iter().filter_map(|c| Some(with_defaults(c["subnet"].as_str()?))).collect();
    assert_eq!(subnets, [world.network.v4.to_string(), world.network.v6.to_string()]);
}

#[test]
fn who_has_a_certificate_shares_the_authority() {
    let (compose, world) = (compose(), World::built_in());
    assert!(compose["volumes"].as_mapping().unwrap().contains_key("data"));
    let words = |value: &Value| -> Vec<String> {
        value.as_sequence().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for (name, service) in compose["services"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        let host = world.hosts.get(name);
        // Only the application servers write there; `visit` reads whom to trust.
        let expected = match host {
            Some(host) if host.app.is_some() => vec!["data:/data"],
            Some(host) if !host.speaks_tls() => vec![],
            _ => vec!["data:/data:ro"],
        };
        assert_eq!(words(&service["volumes"]), expected, "{name}");
        assert_eq!(service["environment"]["VISIT_DATA"].as_str(), Some("/data"), "{name}");
        let waits = |other: &str| service["depends_on"][other]["condition"].as_str() == Some("service_healthy");
        assert!(expected != ["data:/data:ro"] || waits("app1"), "{name} begins before there is an authority");
    }
    let app = world.hosts["app1"].app.as_ref().unwrap();
    let published = words(&compose["services"]["app1"]["ports"]);
    for port in [app.http_port, app.https_port] {
        assert!(
            published.iter().any(|published| published.ends_with(&format!("}}:{port}"))),
            "{port} in {published:?}"
        );
    }
}

#[test]
fn a_second_lab_has_other_networks_and_a_token_where_they_are_given() {
    let (text, world) = (fs::read_to_string(root().join("docker-compose.yml")).unwrap(), World::built_in());
    let settings = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let other = settings.replace("${LAB_NET:-10.78}", "10.99").replace("${LAB_NET6:-fd10:78:1ab}", "fd10:99:1ab");
    assert!(!other.contains("10.78") && !other.contains("fd10:78"), "every address begins as it is told");
    let mut compose: Value = serde_yaml_ng::from_str(&other).unwrap();
    compose.apply_merge().unwrap();
    let environment = &compose["services"]["app1"]["environment"];
    assert_eq!(environment["VISIT_ADMIN_TOKEN"].as_str(), Some("${LAB_ADMIN_TOKEN:-}"));
    let there = world.renumbered(environment["VISIT_LAB_NET"].as_str().unwrap().parse().unwrap());
    for (name, host) in &there.hosts {
        let net = &compose["services"][name.as_str()]["networks"]["lab"];
        let addresses =
            ["ipv4_address", "ipv6_address"].map(|family| net[family].as_str().unwrap().parse::<IpAddr>().unwrap());
        assert_eq!(host.addresses, addresses, "{name}");
    }
}

#[test]
fn a_host_that_dies_is_started_again_and_a_visit_is_not() {
    for (name, service) in compose()["services"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        let expected = if name == "visit" { "no" } else { "unless-stopped" };
        assert_eq!(service["restart"].as_str(), Some(expected), "{name}");
    }
}

#[test]
fn every_container_is_hardened() {
    let compose = compose();
    for (name, service) in compose["services"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        // Who captures needs a right that only root can be given.
        let (user, rights): (_, &[&str]) = if name == "visit" { ("0:0", &["NET_RAW"]) } else { ("65534:65534", &[]) };
        assert_eq!(service["user"].as_str(), Some(user), "{name}");
        let added: Vec<_> = service["cap_add"].as_sequence().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(added, rights, "{name}");
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name}");
        assert_eq!(service["cap_drop"][0].as_str(), Some("ALL"), "{name}");
        assert_eq!(service["security_opt"][0].as_str(), Some("no-new-privileges:true"), "{name}");
        // What is published is for this machine alone, and never port 53, which its own resolver may hold.
        for port in service["ports"].as_sequence().into_iter().flatten().filter_map(Value::as_str) {
            assert!(port.starts_with("127.0.0.1:") && !port.ends_with(":53"), "{name}: {port}");
        }
    }
}

#[test]
fn the_example_for_tests_has_the_lab_at_an_address_that_is_true() {
    let text = fs::read_to_string(root().join("examples/ci/docker-compose.yml")).unwrap();
    let (compose, world): (Value, _) = (serde_yaml_ng::from_str(&text).unwrap(), World::built_in());
    let lab = &compose["services"]["lab"];
    let address = lab["networks"]["lab"]["ipv4_address"].as_str().unwrap();
    assert!(world.hosts["app1"].addresses.contains(&address.parse().unwrap()), "{address}");
    let subnet = compose["networks"]["lab"]["ipam"]["config"][0]["subnet"].as_str();
    assert_eq!(subnet, Some(world.network.v4.to_string().as_str()));
    let test = &compose["services"]["test"];
    assert_eq!(test["dns"][0].as_str(), Some(address));
    assert_eq!(test["depends_on"]["lab"]["condition"].as_str(), Some("service_healthy"));
    // The image has no shell, so a check is a list of words.
    assert_eq!(lab["healthcheck"]["test"][0].as_str(), Some("CMD"));
}
