//! The authority's files: one for all, whatever happens.

use std::{
    collections::HashSet,
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, SystemTime},
};

use ca::{Authority, Error, Scope};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn scope(name: &str) -> Scope {
    Scope::new([name], ["10.78.0.0/16".parse().unwrap()])
}

fn open(dir: &Path) -> Authority {
    Authority::open(dir, &scope("example.local"), SystemTime::now()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn made_once_and_found_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("share/visit");
    assert!(ca::certificate_of(&dir).unwrap().is_none());
    let made = open(&dir);
    assert_eq!((mode(&dir), mode(&dir.join("lab-ca.key"))), (0o700, 0o600));
    assert_eq!(ca::certificate_of(&dir).unwrap().as_deref(), Some(made.certificate_pem()));
    let found = open(&dir);
    assert_eq!((found.certificate_der(), found.kept_in()), (made.certificate_der(), Some(&*dir)));
    // The copy for everybody is made again, and made right.
    for spoil in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "nonsense").unwrap()] {
        spoil(&dir.join("lab-ca.pem"));
        open(&dir);
        assert_eq!(ca::certificate_of(&dir).unwrap().as_deref(), Some(made.certificate_pem()));
    }
    let names: HashSet<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lab-ca.key", "lab-ca.pem", "lab-ca.lock"].map(Into::into).into(), "nothing is left over");
}

#[test]
fn what_cannot_be_used_is_named() {
    let check = |spoil: fn(&str) -> Vec<u8>, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        let path = dir.path().join("lab-ca.key");
        fs::write(&path, spoil(&fs::read_to_string(&path).unwrap())).unwrap();
        let error = Authority::open(dir.path(), &scope("example.local"), SystemTime::now()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Garbage { .. }), "{text}");
        assert!(text.contains(path.to_str().unwrap()) && text.contains("remove it"), "{text}");
        assert!(text.contains(expected), "{text}");
        // Silently making another would hide it.
        assert!(Authority::open_or_in_memory(Some(dir.path()), &scope("example.local"), SystemTime::now()).is_err());
    };
    check(|_| Vec::new(), "no private key");
    check(|_| vec![0xff; 100], "not text");
    check(|text| text[..text.find("-----BEGIN CERT").unwrap()].into(), "no certificate");
    check(|text| text[text.find("-----BEGIN CERT").unwrap()..].into(), "no private key");
    let others = |text: &str| {
        let other = tempfile::tempdir().unwrap();
        open(other.path());
        let other = fs::read_to_string(other.path().join("lab-ca.key")).unwrap();
        let key = &text[..text.find("-----BEGIN CERT").unwrap()];
        format!("{key}{}", &other[other.find("-----BEGIN CERT").unwrap()..]).into_bytes()
    };
    check(others, "its private key is not that of its certificate");
}

#[test]
fn replaced_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let begin = SystemTime::now();
    let at = |days: u32| Authority::open(dir.path(), &scope("example.local"), begin + DAY * days).unwrap();
    let first = at(0);
    assert_eq!(at(3_600).certificate_der(), first.certificate_der(), "it is good for ten years");
    let second = at(3_640);
    assert_ne!(second.certificate_der(), first.certificate_der(), "less than 30 days are left");
    assert_eq!(ca::certificate_of(dir.path()).unwrap().as_deref(), Some(second.certificate_pem()));
    assert_eq!(at(3_650).certificate_der(), second.certificate_der());
    assert_ne!(at(0).certificate_der(), second.certificate_der(), "it is not valid yet");
}

/// The private key that is kept there.
fn key(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("lab-ca.key")).unwrap();
    text[..text.find("-----BEGIN CERT").unwrap()].to_owned()
}

#[test]
fn speaks_for_this_world_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let open = |names: &[&str]| {
        let scope = Scope::new(names, ["10.78.0.0/16".parse().unwrap()]);
        let opened = Authority::open(dir.path(), &scope, SystemTime::now()).unwrap();
        assert_eq!(ca::certificate_of(dir.path()).unwrap().as_deref(), Some(opened.certificate_pem()));
        (opened, key(dir.path()))
    };
    let may = |authority: &Authority, name: &str| match authority.issue(&[name.to_owned()], &[], SystemTime::now()) {
        Ok(_) => true,
        Err(Error::NotPermitted(_)) => false,
        Err(error) => panic!("{name}: {error}"),
    };
    let (one, first_key) = open(&["example.local"]);
    assert!(may(&one, "a.example.local") && !may(&one, "a.school.test"));
    let (both, same_key) = open(&["example.local", "school.test"]);
    assert!(may(&both, "a.example.local") && may(&both, "a.school.test"));
    assert_eq!(same_key, first_key, "what was issued before stays good");
    let (one, second_key) = open(&["example.local"]);
    assert!(may(&one, "a.example.local") && !may(&one, "a.school.test"));
    assert_ne!(second_key, first_key, "with the old certificate, the old key is good for more");
    assert_eq!(open(&["example.local"]).1, second_key);
}

#[test]
fn one_that_may_speak_for_anybody_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = params.self_signed(&foreign).unwrap().pem();
    fs::write(dir.path().join("lab-ca.key"), foreign.serialize_pem() + &pem).unwrap();
    let opened = open(dir.path());
    assert_ne!(opened.certificate_pem(), pem);
    assert!(matches!(opened.issue(&["a.test".to_owned()], &[], SystemTime::now()), Err(Error::NotPermitted(_))));
    let kept = key(dir.path());
    assert_ne!(kept, foreign.serialize_pem());
    assert_eq!((open(dir.path()).certificate_der(), key(dir.path())), (opened.certificate_der(), kept));
}

#[test]
fn a_key_that_others_could_read_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let file = dir.path().join("lab-ca.key");
    for open_to_others in [0o644, 0o620, 0o604] {
        fs::set_permissions(&file, Permissions::from_mode(open_to_others)).unwrap();
        assert_eq!(open(dir.path()).certificate_der(), first.certificate_der());
        assert_eq!(mode(&file), 0o600, "was {open_to_others:o}");
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path());
    let with_mode = |mode| {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        Authority::open_or_in_memory(Some(dir.path()), &scope("example.local"), SystemTime::now())
    };
    for mode in [0o777, 0o770, 0o702] {
        let error = with_mode(mode).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Exposed { .. }), "{text}");
        assert!(text.contains(dir.path().to_str().unwrap()) && text.contains("chmod go-w"), "{text}");
    }
    // The bit that /tmp has, too.
    for mode in [0o1777, 0o755, 0o700] {
        assert_eq!(with_mode(mode).unwrap().kept_in(), Some(dir.path()), "{mode:o}");
    }
}

#[test]
fn in_memory_where_nothing_can_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = file.path().join("visit");
    let open = |dir| Authority::open_or_in_memory(dir, &scope("example.local"), SystemTime::now());
    assert!(open(None).unwrap().kept_in().is_none());
    assert!(open(Some(Path::new("/proc/visit"))).unwrap().kept_in().is_none());
    // This is no missing right but a mistake.
    assert!(matches!(open(Some(&below_a_file)), Err(Error::Read { .. })));
}

/// Where others are to read the certificate, the directory is made so before, and stays so.
#[test]
fn a_directory_that_others_may_enter() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    open(dir.path());
    let modes = ["", "lab-ca.key", "lab-ca.pem"].map(|name| mode(&dir.path().join(name)));
    assert_eq!(modes, [0o711, 0o600, 0o644]);
}

#[test]
fn threads_that_start_at_once_get_the_same() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("visit");
        let begin = Barrier::new(16);
        let opened: Vec<_> = thread::scope(|scope| {
            let one = || {
                begin.wait();
                open(&path).certificate_der().to_vec()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let kept = open(&path);
        assert!(opened.iter().all(|certificate| *certificate == kept.certificate_der().to_vec()));
        assert_eq!(ca::certificate_of(&path).unwrap().as_deref(), Some(kept.certificate_pem()));
    }
}

/// Not a test of its own: what the processes of the next one run.
#[test]
#[ignore = "run by processes_that_start_at_once_get_the_same"]
fn one_process() {
    let dir = env::var_os("CA_TEST_DIR").expect("the other test sets it");
    let authority = open(Path::new(&dir));
    fs::write(Path::new(&dir).join(format!("got-{}", std::process::id())), authority.certificate_pem()).unwrap();
}

#[test]
fn processes_that_start_at_once_get_the_same() {
    for years in [0, 11] {
        let dir = tempfile::tempdir().unwrap();
        if years > 0 {
            // One that is not valid yet: it has to be replaced, and by one of them alone.
            Authority::open(dir.path(), &scope("example.local"), SystemTime::now() + DAY * 365 * years).unwrap();
        }
        let start = |_| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "kept::one_process", "--ignored", "--quiet"])
                .env("CA_TEST_DIR", dir.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let processes: Vec<_> = (0..8).map(start).collect();
        for mut process in processes {
            assert!(process.wait().unwrap().success());
        }
        let kept = open(dir.path());
        let mut told = 0;
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_str().unwrap().starts_with("got-") {
                assert_eq!(fs::read_to_string(entry.path()).unwrap(), kept.certificate_pem());
                told += 1;
            }
        }
        assert_eq!(told, 8);
    }
}
