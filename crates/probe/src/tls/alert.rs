//! Alerts (RFC 8446 §6) by the names of IANA's registry.

use journey::stage::Tls;
use rustls::AlertDescription;

/// An alert by its registered name and number.
pub fn alert(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    match name(number) {
        Some(name) => format!("{name} (alert {number})"),
        None => format!("alert {number}"),
    }
}

fn name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}

/// What an alert means for this handshake, to follow its name.
pub(super) fn meaning(alert: AlertDescription, did: &Tls) -> String {
    use AlertDescription::*;
    // Before TLS 1.3 had an alert for it, servers that miss a certificate of the client said something general.
    let is_general = matches!(
        alert,
        HandshakeFailure | NoCertificate | BadCertificate | CertificateUnknown | AccessDenied | CertificateRequired
    );
    match alert {
        _ if is_general && did.client_certificate_requested => {
            ", it asked for a client certificate and got none".to_owned()
        }
        CertificateRequired => ", it wants a client certificate".to_owned(),
        HandshakeFailure => ", nothing that both sides support".to_owned(),
        ProtocolVersion => ", it speaks neither TLS 1.2 nor 1.3".to_owned(),
        InsufficientSecurity => ", it wants stronger algorithms than were offered".to_owned(),
        UnrecognisedName => format!(", it serves no {}", did.server_name),
        NoApplicationProtocol => format!(", it speaks none of {}", did.offered.join(", ")),
        InternalError => ", the fault is on its side".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_of_the_library_has_its_registered_name() {
        for number in 0..=u8::MAX {
            let known = AlertDescription::from(number);
            let text = alert(known);
            assert!(text.ends_with(&format!("alert {number})")) || text == format!("alert {number}"), "{text}");
            assert_eq!(
                known.as_str().is_some(),
                known.as_str().is_some() && name(number).is_some(),
                "{number}: {text}"
            );
        }
        assert_eq!(alert(AlertDescription::UnknownCA), "unknown_ca (alert 48)");
        assert_eq!(alert(AlertDescription::UnrecognisedName), "unrecognized_name (alert 112)");
        assert_eq!(alert(AlertDescription::UnknownPSKIdentity), "unknown_psk_identity (alert 115)");
        assert_eq!(alert(AlertDescription::from(200)), "alert 200");
    }

    #[test]
    fn a_general_alert_after_a_certificate_request_means_that_it_is_missed() {
        let did = |client_certificate_requested| Tls { client_certificate_requested, ..Tls::default() };
        for alert in [AlertDescription::HandshakeFailure, AlertDescription::BadCertificate] {
            assert!(meaning(alert, &did(true)).contains("client certificate"), "{alert:?}");
            assert!(!meaning(alert, &did(false)).contains("client certificate"), "{alert:?}");
        }
        assert!(meaning(AlertDescription::CertificateRequired, &did(false)).contains("client certificate"));
        assert!(!meaning(AlertDescription::ProtocolVersion, &did(true)).contains("client certificate"));
    }
}
