use super::{Passwords, Verdict, check};
use crate::config::PasswordHashing;

const CHEAP: PasswordHashing = PasswordHashing { memory_kib: 8, iterations: 1 };

#[tokio::test]
async fn right_and_wrong() {
    let passwords = Passwords::new(CHEAP);
    let hash = passwords.hash("correct horse").await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    assert_ne!(hash, passwords.hash("correct horse").await.unwrap(), "each hash has a salt of its own");
    assert_eq!(passwords.verify("correct horse", Some(&hash)).await.unwrap(), Verdict::Right);
    assert_eq!(passwords.verify("correct horsf", Some(&hash)).await.unwrap(), Verdict::Wrong);
    assert_eq!(passwords.verify("", Some(&hash)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn nobody_has_no_password() {
    let passwords = Passwords::new(CHEAP);
    assert_eq!(passwords.verify("anything", None).await.unwrap(), Verdict::Wrong);
    assert_eq!(passwords.verify("nobody's password", None).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn an_empty_password_is_not_reached_by_a_long_one() {
    let passwords = Passwords::new(CHEAP);
    let empty = passwords.hash("").await.unwrap();
    assert_eq!(passwords.verify(&"x".repeat(10_000), Some(&empty)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_changed_cost_rehashes() {
    let old = Passwords::new(CHEAP);
    let new = Passwords::new(PasswordHashing { memory_kib: 16, iterations: 2 });
    let hash = old.hash("correct horse").await.unwrap();
    let Verdict::Rehashed(hash) = new.verify("correct horse", Some(&hash)).await.unwrap() else { panic!("no rehash") };
    assert!(hash.starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    assert_eq!(new.verify("correct horse", Some(&hash)).await.unwrap(), Verdict::Right);
}

#[test]
fn lengths_are_checked() {
    assert!(check("seven77").is_err());
    assert!(check("eight888").is_ok());
    assert!(check(&"x".repeat(512)).is_ok());
    assert!(check(&"x".repeat(513)).is_err());
}
