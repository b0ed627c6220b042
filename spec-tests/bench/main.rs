//! The figures, as one table: `make bench`. The load comes from this process, the CPU is the server's whole process.
//!
//! A store is filled once and kept (in `target/bench`, or where `BENCH_STORE` says); every run starts a server over a copy
//! of it, warms it, measures. `BENCH_SCALE=10` makes everything a tenth, for a quick look. Names of figures as arguments
//! measure those alone, and those that take long only then; `--fill` fills the store and measures nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]

mod bench;
mod domain;
mod figures;
mod fill;
mod gateway;
mod machine;
mod meter;
mod pace;
mod running;
mod table;
mod wire;
mod world;

use bench::Bench;
use world::{Shelf, World};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let unknown = wanted.iter().find(|wanted| *wanted != "--fill" && figures::find(wanted).is_none());
    if let Some(unknown) = unknown {
        let names: Vec<_> = figures::all().map(|figure| figure.name).collect();
        eprintln!("There is no figure {unknown}. These are: {}", names.join(" "));
        std::process::exit(2);
    }
    let (folder, size) = world::asked_for();
    let machine = machine::describe(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let shelf = Shelf::new(folder);
        let world = match shelf.world(&size) {
            Some(world) => world,
            None => fill::fill(&shelf, size).await,
        };
        let store = describe(&world);
        if wanted.iter().any(|wanted| wanted == "--fill") {
            fill::settle(&shelf).await;
            println!("{store}");
            return;
        }
        let mut bench = Bench::new(shelf, world);
        for figure in figures::chosen(&wanted) {
            eprintln!("{}", figure.name);
            (figure.measure)(&mut bench).await;
        }
        bench.end_server().await;
        println!("\n{machine}\n{store}\n");
        bench.table.print();
    });
}

fn describe(world: &World) -> String {
    let World { size, events, filled_in: (seconds, cpu), filled_by, .. } = world;
    let [people, rooms, large, many, events] =
        [size.people, size.rooms, size.large, size.many, *events].map(|count| table::thousands(count as f64));
    format!(
        "- store: {people} accounts, {rooms} rooms (one of {large} members, one account in {many}), {events} events; \
         cache {} MiB; filled in {seconds:.0} s ({cpu:.0} s of CPU) at commit {filled_by}",
        world::CACHE_MIB
    )
}
