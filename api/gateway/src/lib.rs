//! Port 8080: REST over the clients of the services, the WebSocket proxy, the web page.
//!
//! Sees clients and shapes only: no book, no view, no table of a service. Whether a service runs in this process or
//! elsewhere makes no difference here.

mod assets;
pub mod routes;
pub mod ws_proxy;
