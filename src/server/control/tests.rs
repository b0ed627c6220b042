//! The socket itself: whose it is, and what it makes of nonsense.

use std::os::unix::fs::PermissionsExt as _;

use matron_homeserver::accounts::Session;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::Config;
use matron_storage::Options;

use super::*;

#[tokio::test]
async fn the_socket_is_its_owners_and_survives_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("matron.sock");
    std::fs::write(&path, "left by a dead process").unwrap();
    let control = Control::bind(path.clone()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let config = Config::named("localhost".try_into().unwrap());
    let homeserver = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(control.serve(Arc::clone(&homeserver), Handle::current(), stop.clone()));

    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"command\":\"nonsense\"}\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert!(line.starts_with("{\"failed\":"), "{line}");

    let name = "alice".to_owned();
    let question = Question::Add { name, password: "correct horse".to_owned(), admin: true };
    let Answer::Done(user_id) = ask(&path, &question, &|_| {}).await.unwrap() else { panic!("alice is not made") };
    assert_eq!(user_id, "@alice:localhost");
    let Answer::Users(users) = ask(&path, &Question::List { after: None }, &|_| {}).await.unwrap() else {
        panic!("no list")
    };
    assert_eq!(users.len(), 1);
    assert!(users[0].admin && !users[0].deactivated);

    let (_, alice, _) = homeserver.accounts.identify("alice").await.unwrap().unwrap();
    let operator = Session::of_operator(&homeserver.config.server_name).unwrap();
    let by = Session { user: alice, ..operator };
    homeserver.reports.user(&by, ruma::user_id!("@alice:localhost"), "rude").await.unwrap();
    let number = homeserver.reports.list(None, 1).await.unwrap()[0].0.get();
    for task in [reports::Task::List, reports::Task::Show { number }, reports::Task::Delete { numbers: vec![number] }] {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |line: String| told.lock().unwrap().push(line);
        let answer = ask(&path, &Question::Report(task), &tell).await.unwrap();
        assert!(matches!(&answer, Answer::Done(what) if what.is_empty()), "{answer:?}");
        let told = told.into_inner().unwrap();
        assert!(told.iter().any(|line| line.contains(&number.to_string())), "{told:?}");
    }

    stop.cancel();
    serving.await.unwrap();
    assert!(!path.exists());
    homeserver.stop().await;
}
