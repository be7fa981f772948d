//! Owns the public API: its routes, and the document that describes them. Must not decide who may do what: `permission` does.

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::backend::Backend;

mod accounts;
mod admin_keys;
mod api_keys;
mod audit;
mod blocks;
mod consumers;
mod developer_keys;
mod leaks;
mod ledger;
mod nodes;
mod oauth;
mod openapi;
mod openid;
mod organisations;
mod outbox;
mod secrets;
mod self_service;
mod signing_keys;
mod tiers;
mod token_families;
mod users;

pub use openapi::openapi;

#[derive(OpenApi)]
#[openapi(info(title = "Tollgate", description = "Consumers, tiers and the API keys that Tollgate checks inside Envoy."))]
struct Described;

/// The routes, with what describes them.
fn described() -> OpenApiRouter<Arc<Backend>> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(organisations::list, organisations::create))
        .routes(routes!(organisations::get, organisations::update))
        .routes(routes!(consumers::list, consumers::create))
        .routes(routes!(consumers::get, consumers::update, consumers::delete))
        .routes(routes!(tiers::list, tiers::create))
        .routes(routes!(tiers::get, tiers::put, tiers::delete))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::get, api_keys::update, api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(api_keys::import))
        .routes(routes!(leaks::report))
        .routes(routes!(developer_keys::list, developer_keys::create))
        .routes(routes!(developer_keys::revoke))
        .routes(routes!(developer_keys::rotate))
        .routes(routes!(admin_keys::list, admin_keys::create))
        .routes(routes!(admin_keys::revoke))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::credentials, nodes::create_credential))
        .routes(routes!(nodes::revoke_credential))
        .routes(routes!(ledger::list))
        .routes(routes!(ledger::release))
        .routes(routes!(ledger::reopen))
        .routes(routes!(blocks::list, blocks::create))
        .routes(routes!(blocks::lift))
        .routes(routes!(blocks::approvals, blocks::approve))
        .routes(routes!(blocks::unapprove))
        .routes(routes!(self_service::create))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update, users::delete))
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::logout))
        .routes(routes!(accounts::session))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::end))
        .routes(routes!(accounts::change))
        .routes(routes!(accounts::forgot))
        .routes(routes!(accounts::choose))
        .routes(routes!(openid::list, openid::create))
        .routes(routes!(openid::get, openid::update, openid::delete))
        .routes(routes!(openid::login))
        .routes(routes!(openid::link))
        .routes(routes!(openid::callback))
        .routes(routes!(outbox::list))
        .routes(routes!(outbox::retry))
        .routes(routes!(outbox::drop))
        .routes(routes!(oauth::token))
        .routes(routes!(oauth::revoke))
        .routes(routes!(oauth::introspect))
        .routes(routes!(oauth::metadata))
        .routes(routes!(oauth::keys))
        .routes(routes!(token_families::list))
        .routes(routes!(token_families::revoke))
        .routes(routes!(signing_keys::list))
        .routes(routes!(signing_keys::rotate))
        .routes(routes!(signing_keys::revoke))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::prepare))
        .routes(routes!(secrets::rotate))
        .routes(routes!(secrets::retire))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(audit::head))
        .routes(routes!(audit::erase))
        .routes(routes!(openapi::get))
}

/// The routes of the public API.
pub(super) fn router() -> axum::Router<Arc<Backend>> {
    described().split_for_parts().0
}
