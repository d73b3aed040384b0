//! Errors of JACK, in plain words.

use jack::{ClientStatus, Error};

/// What each part of a client's status means, where it says why there is none.
const WORDS: [(ClientStatus, &str); 10] = [
    (ClientStatus::SERVER_FAILED, "the server does not answer"),
    (ClientStatus::SERVER_ERROR, "the connection to the server has failed"),
    (ClientStatus::NAME_NOT_UNIQUE, "another client has this name"),
    (ClientStatus::VERSION_ERROR, "the server has another version of the protocol"),
    (ClientStatus::SHM_FAILURE, "the server's shared memory cannot be used"),
    (ClientStatus::INIT_FAILURE, "the client cannot be initialised"),
    (ClientStatus::INVALID_OPTION, "the server does not know an option"),
    (ClientStatus::LOAD_FAILURE, "the client cannot be loaded"),
    (ClientStatus::BACKEND_ERROR, "the server's driver has failed"),
    (ClientStatus::CLIENT_ZOMBIE, "the server has removed the client"),
];

/// Why JACK refuses.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::ClientError(status) => {
            let words = WORDS.iter().filter(|(part, _)| status.contains(*part)).map(|(_, words)| *words);
            match words.collect::<Vec<_>>().join("; ") {
                none if none.is_empty() => "the server refuses a client".to_owned(),
                words => words,
            }
        }
        Error::PortConnectionError { .. } => "the server refuses the connection".to_owned(),
        Error::PortRegistrationError(port) => format!("the server refuses the port {port}"),
        Error::UnknownError { error_code } => format!("code {error_code}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_said_in_words() {
        let said = |status| reason(&Error::ClientError(status));
        assert_eq!(said(ClientStatus::FAILURE | ClientStatus::SERVER_FAILED), "the server does not answer");
        let two = ClientStatus::FAILURE | ClientStatus::NAME_NOT_UNIQUE | ClientStatus::SERVER_ERROR;
        assert_eq!(said(two), "the connection to the server has failed; another client has this name");
        assert_eq!(said(ClientStatus::FAILURE), "the server refuses a client");
    }
}
