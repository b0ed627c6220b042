use super::{Budget, Limiter, Pace};

const HOUR: u64 = 3_600_000;

const fn budget(burst: u32, per_minute: u32) -> Budget {
    Budget { burst, per_minute }
}

#[test]
fn burst_then_rate() {
    let (limiter, budget) = (Limiter::new(10), budget(3, 60));
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, budget, HOUR), Ok(()));
    }
    assert_eq!(limiter.take(&1, budget, HOUR), Err(1000));
    assert_eq!(limiter.take(&2, budget, HOUR), Ok(()), "another key has its own bucket");
    assert_eq!(limiter.take(&1, budget, HOUR + 999), Err(1));
    assert_eq!(limiter.take(&1, budget, HOUR + 1000), Ok(()));
    assert_eq!(limiter.take(&1, budget, HOUR + 1000), Err(1000));
}

#[test]
fn refused_tries_cost_nothing_and_given_back_ones_neither() {
    let (limiter, budget) = (Limiter::new(10), budget(1, 60));
    assert_eq!(limiter.take(&1, budget, HOUR), Ok(()));
    for _ in 0..100 {
        assert_eq!(limiter.take(&1, budget, HOUR), Err(1000));
    }
    limiter.give_back(&1, budget);
    assert_eq!(limiter.take(&1, budget, HOUR), Ok(()));
    assert_eq!(limiter.take(&1, budget, HOUR + 1000), Ok(()));
}

#[test]
fn a_rest_never_gives_more_than_the_burst() {
    let (limiter, budget) = (Limiter::new(10), budget(2, 60));
    assert_eq!(limiter.take(&1, budget, HOUR), Ok(()));
    let later = 100 * HOUR;
    assert_eq!(limiter.take(&1, budget, later), Ok(()));
    assert_eq!(limiter.take(&1, budget, later), Ok(()));
    assert_eq!(limiter.take(&1, budget, later), Err(1000));
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let (limiter, budget) = (Limiter::new(10), budget(3, 60));
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, budget, 10 * HOUR), Ok(()));
    }
    limiter.give_back(&1, budget);
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, budget, HOUR), Ok(()));
    }
    assert_eq!(limiter.take(&1, budget, HOUR), Err(1000));
    assert_eq!(limiter.take(&1, budget, 10 * HOUR), Ok(()), "and forward again");
}

#[test]
fn who_read_the_clock_a_moment_earlier_gains_nothing() {
    let (limiter, budget) = (Limiter::new(10), budget(3, 60));
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, budget, HOUR + 5000), Ok(()));
    }
    assert_eq!(limiter.take(&1, budget, HOUR), Err(6000));
}

#[test]
fn another_budget_counts_from_the_start() {
    let limiter = Limiter::new(10);
    assert_eq!(limiter.take(&1, budget(1, 1), HOUR), Ok(()));
    assert_eq!(limiter.take(&1, budget(1, 1), HOUR), Err(60_000));
    assert_eq!(limiter.take(&1, budget(1, 60), HOUR), Ok(()));
    assert_eq!(limiter.take(&1, budget(1, 60), HOUR), Err(1000));
}

#[test]
fn the_smallest_and_the_greatest_budget() {
    let limiter = Limiter::new(10);
    assert_eq!(limiter.take(&1, budget(0, 0), HOUR), Ok(()));
    assert_eq!(limiter.take(&1, budget(0, 0), HOUR), Err(60_000));
    for _ in 0..10_000 {
        assert_eq!(limiter.take(&1, budget(u32::MAX, u32::MAX), HOUR), Ok(()));
    }
}

#[test]
fn what_is_seldom_is_counted_by_the_day() {
    let (limiter, pace) = (Limiter::new(10), Pace::daily(2, 4));
    assert_eq!(limiter.take(&1, pace, HOUR), Ok(()));
    assert_eq!(limiter.take(&1, pace, HOUR), Ok(()));
    assert_eq!(limiter.take(&1, pace, HOUR), Err(6 * HOUR));
    assert_eq!(limiter.take(&1, pace, 7 * HOUR), Ok(()));
    assert_eq!(limiter.take(&1, Pace::daily(1, 0), HOUR), Ok(()));
    assert_eq!(limiter.take(&1, Pace::daily(1, 0), HOUR), Err(24 * HOUR));
}

#[test]
fn memory_is_bounded() {
    let limiter = Limiter::new(100);
    for key in 0..10_000 {
        assert_eq!(limiter.take(&key, budget(1, 1), HOUR), Ok(()));
    }
    assert!(limiter.full_at.len() <= 200);
}
