//! The application server, seen from outside.

mod coding;
mod curl;
mod events;
mod faults;
mod h2;
mod life;
mod program;
mod protocol;
mod routes;
mod support;
mod talk_and_echo;
mod tls;
