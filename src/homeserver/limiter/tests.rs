use super::{Budget, Limiter};

const HOUR: u64 = 3_600_000;

#[test]
fn burst_then_rate() {
    let limiter = Limiter::new(Budget { burst: 3, per_minute: 60 }, 10);
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, HOUR), Ok(()));
    }
    assert_eq!(limiter.take(&1, HOUR), Err(1000));
    assert_eq!(limiter.take(&2, HOUR), Ok(()), "another key has its own bucket");
    assert_eq!(limiter.take(&1, HOUR + 999), Err(1));
    assert_eq!(limiter.take(&1, HOUR + 1000), Ok(()));
    assert_eq!(limiter.take(&1, HOUR + 1000), Err(1000));
}

#[test]
fn refused_tries_cost_nothing_and_given_back_ones_neither() {
    let limiter = Limiter::new(Budget { burst: 1, per_minute: 60 }, 10);
    assert_eq!(limiter.take(&1, HOUR), Ok(()));
    for _ in 0..100 {
        assert_eq!(limiter.take(&1, HOUR), Err(1000));
    }
    limiter.give_back(&1);
    assert_eq!(limiter.take(&1, HOUR), Ok(()));
    assert_eq!(limiter.take(&1, HOUR + 1000), Ok(()));
}

#[test]
fn a_rest_never_gives_more_than_the_burst() {
    let limiter = Limiter::new(Budget { burst: 2, per_minute: 60 }, 10);
    assert_eq!(limiter.take(&1, HOUR), Ok(()));
    let later = 100 * HOUR;
    assert_eq!(limiter.take(&1, later), Ok(()));
    assert_eq!(limiter.take(&1, later), Ok(()));
    assert_eq!(limiter.take(&1, later), Err(1000));
}

#[test]
fn memory_is_bounded() {
    let limiter = Limiter::new(Budget { burst: 1, per_minute: 1 }, 100);
    for key in 0..10_000 {
        assert_eq!(limiter.take(&key, HOUR), Ok(()));
    }
    assert!(limiter.full_at.len() <= 200);
}
