//! What a monitor asks for, over HTTP: `/metrics` for Prometheus, `/healthz`,
//! `/readyz`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `text` | Prometheus' text format |
//! | `counted` | what switches count |
//! | `process` | what this process uses |
//! | `server` | the HTTP server: plain, small, and bounded |

mod counted;
mod process;
mod server;
mod text;

pub use self::{
    counted::{Counted, counted},
    process::process,
    server::{Answer, serve},
    text::{Family, Kind, Page},
};
