import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Secrets, keys and the audit.
struct SettingsPages: Sendable {
    static let path = SignIn.home + "/settings"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path, Layout.Place.settings.access) { try await show($0) },
            Page(.post, Self.path + "/secrets/{id}/rotate", .key(.secretsWrite), rotate),
        ]
    }

    private func show(_ visit: Visit, status: Int = 200, _ more: View = View()) async throws -> Answer {
        let store = desk.engine.store
        var view = more
        if view["faults"] == nil { view.list("faults", []) }
        let mayRotate = visit.caller.may(.secretsWrite)
        view.list(
            "merchants",
            try await store.merchants(for: visit.caller).map { merchant in
                var view = Self.option(merchant)
                view.flag("may_rotate", mayRotate && merchant.closedAt == nil)
                return view
            })
        view.flag("may_not_rotate", !mayRotate)
        view.flag("may_audit", visit.caller.may(.auditRead))
        if visit.caller.may(.auditRead) { try await audit(visit, into: &view) }
        return try Layout.page("settings", .settings, status: status, view, for: visit)
    }

    private func audit(_ visit: Visit, into view: inout View) async throws {
        let store = desk.engine.store
        let now = desk.engine.clock.wall
        view.list("keys", try await store.keys(accountID: visit.accountID).map { Self.key($0, visit, now: now) })
        let page = CursorPage(after: visit.asked("cursor").flatMap(CursorPage.position))
        let audit = try await store.listAudit(for: visit.caller, page)
        view.list("audit", audit.rows.map(Self.entry))
        view.text("next", audit.next.map { "\(Self.path)?cursor=\($0)#audit" })
        view.text("curl", desk.curl(.get, "/v2/audit"))
    }

    /// A merchant to choose.
    static func option(_ merchant: Merchant) -> View {
        var view = View()
        view.text("merchant_id", merchant.id)
        view.text("merchant_name", merchant.name)
        view.text("mirror", merchant.number.map { "\(merchant.branch ?? "") / \($0)" } ?? "")
        view.flag("closed", merchant.closedAt != nil)
        return view
    }

    private static func key(_ key: APIKey, _ visit: Visit, now: Timestamp) -> View {
        var view = View()
        view.text("key", key.id)
        view.text("key_name", key.name)
        view.flag("own", key.id == visit.key.id)
        let scopes = key.hasEveryScope ? "everything" : key.scopes.map(\.rawValue).joined(separator: ", ")
        let merchants = key.merchants.map { "; merchants " + $0.sorted().map { String($0) }.joined(separator: ", ") }
        view.text("may", (key.isOperator ? "operator: " : "") + scopes + (merchants ?? ""))
        view.text("from", key.cidrs.isEmpty ? "anywhere" : key.cidrs.map(\.description).joined(separator: ", "))
        let state = key.revokedAt != nil ? "revoked" : key.isUsable(now: now) ? "valid" : "expired"
        var pill = Shown.pill(state)
        pill.text("tone", state == "valid" ? "good" : "bad")
        view["key_state"] = .view(pill)
        view.text("expires", Shown.time(key.expiresAt) ?? "never")
        view.text("made", Shown.time(key.createdAt))
        return view
    }

    private static func entry(_ row: AuditRow) -> View {
        var view = View()
        view.text("at", Shown.time(row.at))
        view.text("actor", row.requester.actor)
        view.text("action", row.action)
        view.text("target", row.target)
        view.text("details", row.parameters)
        view.text("address", row.requester.address ?? "")
        return view
    }

    /// Shows the new secret once, in the answer itself: no address leads to it.
    private func rotate(_ visit: Visit) async throws -> Answer {
        let id = try visit.id("id", orThrow: Problem.notFound("Merchant not found."))
        var body = JSONObject()
        if let hours = visit.field("overlap_hours") {
            body.set("overlap_hours", JSONNumber(hours).map { .number($0) } ?? .string(hours))
        }
        if visit.field("compat_key") == "1" { body.set("compat_key", .bool(true)) }
        var view = View()
        do {
            let answer = try await desk.ask(.post, "/v2/merchants/\(id)/webhook-secret/rotate", body, as: visit)
            view.text("rotated", id)
            view.text("secret", answer["signing_secret"]?.text)
            view.text("overlap", Shown.time(answer["overlap_ends_at"]?.text))
            return try await show(visit, view)
        } catch let faults as Faults {
            view.list("faults", Shown.faults(faults))
            return try await show(visit, status: 422, view)
        }
    }
}
