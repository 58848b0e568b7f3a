//! The resolver from outside: real sockets on loopback, before it clients, behind it name servers that do what each test
//! needs of them.

mod cache;
mod conversations;
mod failure;
mod fake;
mod faults;
mod lab;
mod life;
mod policy;
mod running;
mod walk;
