//! What a monitor asks for, over HTTP: `/metrics` for Prometheus, `/healthz`,
//! `/readyz`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `text` | Prometheus' text format |
//! | `process` | what this process uses |
//! | `server` | the HTTP server: plain, small, and bounded |

mod process;
mod server;
mod text;

pub use self::{
    process::process,
    server::{Answer, serve},
    text::{Family, Kind, Page},
};
