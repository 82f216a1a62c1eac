//! PostgreSQL, or the wire to it, breaks beneath a selling server.

use std::time::Duration;

use crate::{
    cluster::Cluster,
    crowd::Crowd,
    harness::{Database, Engine, PATIENCE, Process, free_port, kills, verify},
    wire::Wire,
};

/// Answers between two restarts, at least.
const BETWEEN: usize = 30;
/// Then the database goes within this.
const WITHIN_MS: u32 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_restarts_beneath_a_selling_server_and_no_answer_is_lost() {
    let cluster = Cluster::start();
    let server = Process::start(&cluster.url(), free_port()).await;
    let (mut crowd, people) = Crowd::gather(std::slice::from_ref(&server.base)).await;
    crowd.begin(people);
    for n in 0..kills() {
        crowd.some_more(BETWEEN).await;
        let moment = getrandom::u32().expect("randomness") % WITHIN_MS;
        tokio::time::sleep(Duration::from_millis(moment.into())).await;
        cluster.restart(if n % 3 == 1 { "fast" } else { "immediate" }).await;
        verify(&cluster.url()).await;
    }
    crowd.some_more(BETWEEN).await;
    let outcome = crowd.check(&cluster.url()).await;
    eprintln!("{} restarts of the database, each followed by a clean check; {outcome:?}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_at_the_commit_is_found_again_and_nothing_is_done_twice() {
    let database = Database::fresh(Engine::Postgres).await;
    let (who, place) = database.url.rsplit_once('@').expect("a user");
    let (address, name) = place.split_once('/').expect("a database");
    let wire = Wire::to(address.to_owned()).await;
    let server = Process::start(&format!("{who}@127.0.0.1:{}/{name}?sslmode=disable", wire.port), free_port()).await;
    let (mut crowd, people) = Crowd::gather(std::slice::from_ref(&server.base)).await;
    wire.cut(true);
    crowd.begin(people);
    // Until both kinds of connections were cut often enough in both ways.
    let goal = kills() * 4;
    let often = async {
        loop {
            crowd.some_more(BETWEEN).await;
            let (sequencer, others) = (wire.sequencer().both(), wire.others().both());
            if [sequencer.0, sequencer.1, others.0, others.1].iter().all(|cuts| *cuts >= goal) {
                return;
            }
        }
    };
    let limit = PATIENCE * 2 * u32::try_from(kills()).expect("few");
    let enough = tokio::time::timeout(limit, often).await.is_ok();
    assert!(enough, "too few cuts: {:?}, {:?}", wire.sequencer(), wire.others());
    wire.cut(false);
    verify(&database.url).await;
    let outcome = crowd.check(&database.url).await;
    let ((before, after), others) = (wire.sequencer().both(), wire.others().both());
    assert!(before > 0 && after > 0, "the sequencer lost COMMITs in both ways");
    eprintln!(
        "cuts of the sequencer: {before} before the COMMIT, {after} after it; of others: {others:?}; {outcome:?}"
    );
}
