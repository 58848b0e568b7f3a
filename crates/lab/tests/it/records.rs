//! Records of a lab that runs are replaced: all of those that were given, or none.

use lab::{Lab, LabError};
use world::scenario::Records;

#[test]
fn what_cannot_be_used_changes_nothing() {
    let lab = Lab::builder().data_dir(None).start().unwrap();
    // At once: a service that is ready does what it is asked.
    lab.flush().unwrap();
    match lab.set_records("example.local.", &["www 300 IN A 10.78.2.999"]) {
        Err(LabError::NotReloaded { host, why }) => {
            assert!(host.starts_with("auth") && why.contains("the old ones are still served"), "{host}: {why}");
        }
        other => panic!("{other:?}"),
    }
    // What could not be used is not kept either, to be in the way of what can.
    lab.set_records("example.local.", &["www 300 IN A 10.78.2.82"]).unwrap();
    let one = |zone: &str, record: &str| (zone.to_owned(), vec![record.to_owned()]);
    let both =
        Records::from([one("example.local.", "mail 300 IN A 10.78.2.999"), one("nobody.", "www 300 IN A 10.78.2.82")]);
    assert!(matches!(lab.replace(&both), Err(LabError::Records { zone, .. }) if zone == "nobody."));
    // The first of the two would be refused, had it been kept.
    lab.set_records("example.local.", &["www 300 IN A 10.78.2.81"]).unwrap();
}
