//! Every operation of the public API, asked by everybody: who may, may; who may not, is told so.

use serde_json::Value;
use tollgate_server::permission::{Permission, Role};

use crate::operation::operations;
use crate::people::Browser;
use crate::service::Service;

/// Who asks.
#[derive(Clone, Debug)]
enum Caller {
    Role(Role, String),
    /// A user, and a browser that they are signed in with.
    User(Role, Value, Box<Browser>),
    Nobody,
    Wrong(&'static str, String),
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_permitted_to_exactly_the_roles_that_have_its_permission() {
    let service = Service::start_with(&[("self_service", "true"), ("registration", "true"), ("trusted_proxies", "127.0.0.1")]).await;
    let consumer = service.consumer().await;
    let mut callers = vec![Caller::Nobody];
    for role in Role::ALL {
        let made = service.admin_key(role.name(), &consumer).await;
        callers.push(Caller::Role(role, made["admin_key"].as_str().unwrap().to_owned()));
        let user = service.user(role.name(), &consumer).await;
        let browser = service.browser(&user).await;
        callers.push(Caller::User(role, user, Box::new(browser)));
    }
    let revoked = service.admin_key("admin", &consumer).await;
    service.call("DELETE", &format!("/api/v1/admin-keys/{}", revoked["id"].as_str().unwrap())).send().await.expect(204);
    callers.push(Caller::Wrong("a revoked admin key", revoked["admin_key"].as_str().unwrap().to_owned()));
    callers.push(Caller::Wrong("a node credential", service.node_credential.clone()));
    callers.push(Caller::Wrong("an API key", service.key(&consumer).await["api_key"].as_str().unwrap().to_owned()));
    callers.push(Caller::Wrong("a forged admin key", format!("tga_{}", "a".repeat(57))));

    let operations = operations();
    let (mut asked, mut allowed, mut forbidden, mut unauthenticated) = (0_u32, 0, 0, 0);
    for operation in &operations {
        let permission = Permission::ALL.into_iter().find(|permission| permission.name() == operation.permission);
        assert_eq!(permission.is_none(), operation.permission == "none", "{} asks for an unknown permission", operation.id);
        for caller in &callers {
            let mut sample = operation.sample(&service, &consumer).await;
            let mut call = service.anonymous(&operation.method, &sample.path);
            match caller {
                Caller::Role(_, credential) | Caller::Wrong(_, credential) => call = call.bearer(credential),
                Caller::User(_, user, browser) => {
                    // A session that is about to end is one of its own.
                    let browser = match operation.id.as_str() {
                        "logout" | "end_session" => service.browser(user).await,
                        _ => (**browser).clone(),
                    };
                    sample.path = sample.path.replace("/sessions/own", &format!("/sessions/{}", browser.session));
                    call = browser.call(&service, &operation.method, &sample.path);
                }
                Caller::Nobody => {}
            }
            // From an address of its own: nobody is refused for what others did.
            asked += 1;
            call = call.header("x-forwarded-for", &format!("198.51.{}.{}", asked / 250, asked % 250));
            let reply = sample.fill(call).send().await;
            let who = format!(
                "{} by {}",
                operation.id,
                match caller {
                    Caller::Role(role, _) | Caller::User(role, ..) => role.name(),
                    Caller::Nobody => "nobody",
                    Caller::Wrong(what, _) => what,
                }
            );
            let expected = match (permission, caller) {
                (None, _) => sample.status,
                // An administrator may, and is told that it has no consumer whose keys they would be.
                (
                    Some(Permission::OwnKeysRead | Permission::OwnKeysWrite),
                    Caller::Role(Role::Admin, _) | Caller::User(Role::Admin, ..),
                ) => 409,
                // Nor has an admin key a session.
                (Some(Permission::OwnAccount), Caller::Role(..)) => 409,
                (Some(permission), Caller::Role(role, _) | Caller::User(role, ..)) if role.grants(permission) => sample.status,
                (Some(_), Caller::Role(..) | Caller::User(..)) => 403,
                (Some(_), Caller::Nobody | Caller::Wrong(..)) => 401,
            };
            assert_eq!(reply.status, expected, "{who}: {}", reply.text());
            match reply.status {
                401 => {
                    unauthenticated += 1;
                    let expected = match caller {
                        Caller::Nobody => "unauthenticated",
                        Caller::Role(..) | Caller::User(..) | Caller::Wrong(..) => "invalid_key",
                    };
                    assert_eq!(reply.problem(401)["code"], expected, "{who}");
                    assert!(reply.header("www-authenticate").starts_with("Bearer realm=\"tollgate\""), "{who}");
                }
                403 => {
                    forbidden += 1;
                    assert_eq!(reply.problem(403)["code"], "forbidden", "{who}");
                }
                _ => allowed += 1,
            }
        }
    }
    let cases = operations.len() * callers.len();
    println!(
        "{} operations × {} callers = {cases} cases: {allowed} allowed, {forbidden} forbidden, {unauthenticated} unauthenticated",
        operations.len(),
        callers.len()
    );
    assert_eq!(allowed + forbidden + unauthenticated, cases);
}
