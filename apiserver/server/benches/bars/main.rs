//! What the server costs, against the bars that it has to meet: `cargo bench -p apiserver`.
//!
//! Everything is processor time of the one thread that does the work, from the request's arrival at
//! [`ApiServer::handle`](apiserver::ApiServer::handle) on, so that neither sockets nor what else runs
//! on the machine count. A bar that is missed is said and fails nothing.

mod encode;
mod fixture;
mod full;
mod identity;
mod list;
mod measure;
mod memory;
mod watch;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O always starts");
    runtime.block_on(async {
        measure::print_head();
        // First, while nothing that was freed can be used again.
        Box::pin(memory::run()).await;
        encode::run();
        Box::pin(list::run()).await;
        Box::pin(watch::run()).await;
        Box::pin(full::run()).await;
        Box::pin(identity::run()).await;
    });
}
