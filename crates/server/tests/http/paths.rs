//! Paths and methods that nobody gave.

use crate::client::call;
use crate::operation::{Callers, operations};
use crate::service::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_names_nothing_is_not_found_whatever_it_is_made_of() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let callers = Callers::new(&service, &consumer).await;
    let long = "x".repeat(10_000);
    let mut cases = 0;
    for operation in operations().iter().filter(|operation| operation.path.contains('{')) {
        let sample = operation.sample(&service, &consumer).await;
        let (before, rest) = operation.path.split_once('{').unwrap();
        let after = rest.split_once('}').unwrap().1;
        for name in ["nobody", "%00", "%0a", "%ff", "%2e%2e", "a%2fb", "'%3b--", "%C3%BC", "*", &long] {
            // Where it would be made, a name that can be one makes it.
            if operation.id == "put_tier" && name == "nobody" {
                continue;
            }
            let call = callers.call(&service, operation, &format!("{before}{name}{after}"));
            let reply = sample.fill(call).send().await;
            let expected = if operation.id == "put_tier" && reply.status == 400 { 400 } else { 404 };
            assert_eq!(reply.status, expected, "{} {name}: {}", operation.id, reply.text());
            reply.problem(expected);
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_is_a_problem_on_every_listener() {
    let service = Service::start().await;
    for address in [service.at.public, service.at.node, service.at.operations] {
        for path in ["/", "/nothing", "/api", "/api/v1/", "/api/v1/consumers/", "//api/v1/consumers", "/%00"] {
            assert_eq!(call(address, "GET", path).bearer(&service.admin).send().await.problem(404)["code"], "not_found", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_a_path_does_not_know_is_refused_with_those_it_knows() {
    let service = Service::start().await;
    for (address, path, allow) in [
        (service.at.public, "/api/v1/consumers", "GET,HEAD,POST"),
        (service.at.public, "/api/v1/tiers/free", "GET,HEAD,PUT,DELETE"),
        (service.at.node, "/internal/v1/resolve", "POST"),
        (service.at.node, "/internal/v1/consumers", "POST"),
        (service.at.operations, "/healthz", "GET,HEAD"),
    ] {
        for method in ["TRACE", "OPTIONS", "BREW"] {
            let reply = call(address, method, path).bearer(&service.admin).send().await;
            assert_eq!(reply.problem(405)["code"], "method_not_allowed", "{method} {path}");
            let mut allowed: Vec<_> = reply.header("allow").split(',').collect();
            let mut expected: Vec<_> = allow.split(',').collect();
            allowed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_by_nobody_and_guessed_at_by_nobody() {
    let service = Service::start().await;
    for reply in [
        service.get("/api/v1/tiers").await,
        service.anonymous("GET", "/api/v1/tiers").send().await,
        service.get("/nothing").await,
        call(service.at.operations, "GET", "/metrics").send().await,
    ] {
        assert_eq!((reply.header("cache-control"), reply.header("x-content-type-options")), ("no-store", "nosniff"), "{}", reply.status);
        assert_eq!(reply.header("x-request-id").len(), 36);
    }
}
