//! The server is killed in the middle of selling, and comes back.

use std::time::Duration;

use crate::{
    both_databases,
    crowd::Crowd,
    harness::{Database, Engine, Process, free_port, kills, verify},
};

/// Answers between two kills, at least.
const BETWEEN: usize = 30;
/// Then it is killed within this, at any point of whatever it does.
const WITHIN_MS: u32 = 150;

both_databases!(killed_while_selling_it_forgets_no_answer_and_sells_nothing_twice, async |engine: Engine| {
    let database = Database::fresh(engine).await;
    let port = free_port();
    let mut server = Process::start(&database.url, port).await;
    let (mut crowd, people) = Crowd::gather(std::slice::from_ref(&server.base)).await;
    crowd.begin(people);
    for _ in 0..kills() {
        crowd.some_more(BETWEEN).await;
        let moment = getrandom::u32().expect("randomness") % WITHIN_MS;
        tokio::time::sleep(Duration::from_millis(moment.into())).await;
        server.kill();
        // Nobody repairs anything: what is on the disk must be whole by itself.
        verify(&database.url).await;
        server = Process::start(&database.url, port).await;
    }
    crowd.some_more(BETWEEN).await;
    assert_eq!(Process::verify(&database.url)["verdict"], "clean", "also beside a selling server");
    let outcome = crowd.check(&database.url).await;
    eprintln!("{engine:?}: {} kills, each followed by a clean check; {outcome:?}", kills());
});
