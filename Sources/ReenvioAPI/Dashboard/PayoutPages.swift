import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Finding a payout, and everything that happened to it.
struct PayoutPages: Sendable {
    private static let path = SignIn.home + "/payouts"
    private static let api = "/v2/payout/payments"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path, Layout.Place.payouts.access, search),
            Page(.get, Self.path + "/{id}", .key(.payoutsRead)) { try await show($0, isRevealed: false) },
            Page(.post, Self.path + "/{id}/reveal", .key(.payoutsRead), limit: .reveal) {
                try await show($0, isRevealed: true)
            },
            Page(.post, Self.path + "/{id}/resend", .key(.resendWrite), resend),
        ]
    }

    // MARK: Search

    private func search(_ visit: Visit) async throws -> Answer {
        var view = View()
        let text = visit.asked("q")
        view.text("q", text ?? "")
        if let text, text.unicodeScalars.count > Limits.searchCharacters {
            let max = Limits.searchCharacters
            let faults = Faults("q", "The q field must not be longer than \(max) characters.")
            view.list("faults", Shown.faults(faults))
            view.list("payouts", [])
            return try Layout.page("payouts", .payouts, status: 422, view, for: visit)
        }
        let found: [PayoutRow]
        if let text {
            found = try await desk.engine.store.searchPayouts(
                text, accountID: visit.accountID, merchants: visit.key.merchants)
        } else {
            found = try await desk.engine.store.recentPayouts(
                accountID: visit.accountID, merchants: visit.key.merchants)
        }
        view.flag("searched", text != nil)
        view.text("count", "\(found.count)\(found.count == Store.foundMax ? " or more" : "")")
        view.list("payouts", found.map(Self.row))
        if let text {
            let byID = Int64(text).map { "\(Self.api)/\($0)" }
            view.text("curl", desk.curl(.get, byID ?? Self.api, query: byID == nil ? [("invoice", text)] : []))
        }
        return try Layout.page("payouts", .payouts, view, for: visit)
    }

    private static func row(_ payout: PayoutRow) -> View {
        var view = View()
        view.text("id", payout.id)
        view.text("merchant", payout.merchantID)
        view.text("invoice", payout.invoice)
        view.text("amount", payout.amount.displayText)
        view["status"] = .view(Shown.pill(payout.status.name))
        view.text("updated", Shown.time(payout.updatedAt))
        return view
    }

    // MARK: One payout

    private func show(_ visit: Visit, isRevealed: Bool) async throws -> Answer {
        if isRevealed { try Access.key(.peopleRead).check(visit.caller) }
        let id = try visit.id("id", orThrow: .payoutNotFound)
        let store = desk.engine.store
        guard let payout = try await store.payout(id: id, for: visit.caller) else {
            throw Problem.payoutNotFound
        }
        // Written before anything is shown: what cannot be noted is not revealed.
        if isRevealed, payout.parties != nil {
            try await store.recordReveal(payout: payout, by: visit.requester, now: desk.engine.clock.wall)
            desk.engine.notePeopleRead()
        }
        let (why, faults) = try await why(id, visit)
        var view = View()
        view.text("id", id)
        view.text("merchant", payout.merchantID)
        view.text("merchant_name", payout.merchantName)
        view.text("invoice", payout.invoice)
        view.text("amount", payout.amount.displayText)
        view["status"] = .view(Shown.pill(payout.status.name))
        view.text("end_to_end", payout.endToEnd)
        view.text("url", payout.notificationURL.map(Self.withoutQuery))
        view.text("created", Shown.time(payout.createdAt))
        view.text("updated", Shown.time(payout.updatedAt))
        view.text("rejection", payout.rejectionDescription)
        view.flag("revealed", isRevealed)
        view.flag("may_reveal", !isRevealed && visit.caller.may(.peopleRead))
        view.list("people", PayoutPeople.rows(payout.parties, isRevealed: isRevealed))
        view.list("sentences", why.explanation.map(Self.sentence))
        view.text("start", visit.asked("start") ?? "")
        view.text("end", visit.asked("end") ?? "")
        view.list("faults", Shown.faults(faults))
        let history = try await store.payoutHistory(id: id, accountID: visit.accountID)
        let (log, next) = why.log.part(
            below: visit.asked("cursor").flatMap(CursorPage.position), attempts: Limits.attemptsShown)
        view.list("changes", PayoutTimeline(history, log).views)
        view.text("next", next.map { "\(Self.path)/\(id)?cursor=\(CursorPage.cursor($0))#timeline" })
        view.flag("may_resend", visit.caller.may(.resendWrite) && why.refusal == nil)
        view.flag("sent", visit.asked("sent") != nil)
        view.text("curl", desk.curl(.get, "\(Self.api)/\(id)/why"))
        return try Layout.page(
            "payout", .payouts, title: "Payout \(id)", status: faults.isEmpty ? 200 : 422, view, for: visit)
    }

    /// Why, with the window that the form asks about.
    private func why(_ id: Int64, _ visit: Visit) async throws -> (why: Why, faults: Faults) {
        let times = [("start_time", visit.asked("start")), ("end_time", visit.asked("end"))].compactMap { name, text in
            text.map { (name: name, value: ResendPages.plainTime($0)) }
        }
        var faults = Faults()
        var window: ResendWindow?
        do {
            window = try ResendWindow.optional(times)
        } catch {
            faults = error
        }
        let found = try await desk.engine.store.why(
            payoutID: id, accountID: visit.accountID, window: window, policy: desk.engine.options.policy,
            now: desk.engine.clock.engine, wall: desk.engine.clock.wall, isBounded: true)
        guard let found else { throw Problem.payoutNotFound }
        return (found, faults)
    }

    /// A moment as the endpoint writes it; pages say once that all times are UTC.
    private static var zulu: Regex<(Substring, Substring, Substring)> {
        #/(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)Z/#
    }

    private static func sentence(_ text: String) -> View {
        var view = View()
        view.text("sentence", text.replacing(zulu) { "\($0.output.1) \($0.output.2)" })
        return view
    }

    /// Query strings of receivers often hold tokens (`docs/contract.md` 14).
    static func withoutQuery(_ url: String) -> String {
        url.firstIndex(of: "?").map { "\(url[..<$0])?..." } ?? url
    }

    private func resend(_ visit: Visit) async throws -> Answer {
        let id = try visit.id("id", orThrow: .payoutNotFound)
        _ = try await desk.ask(.post, "\(Self.api)/\(id)/notifications/resend", as: visit)
        return Layout.redirect("\(Self.path)/\(id)?sent=1")
    }
}

/// Whom a payout pays, masked unless somebody asked to see it (`docs/contract.md` 14).
enum PayoutPeople {
    static func rows(_ parties: Parties?, isRevealed: Bool) -> [View] {
        guard let parties else { return [] }
        let person = parties.beneficiary
        let pix = parties.pix
        let place = [person.address.address, person.address.city, person.address.stateCode, person.address.zipCode]
        let account = [pix.bankCode, pix.bankBranch, pix.account, pix.accountDigit].compactMap { $0 }
        let all: [(String, String?)] = [
            ("Beneficiary", person.name), (person.documentType, person.documentNumber),
            ("Born", person.birthdate), ("Phone", person.phone),
            ("Address", place.compactMap { $0 }.isEmpty ? nil : place.compactMap { $0 }.joined(separator: ", ")),
            ("PIX key", pix.pixKey), ("Bank account", account.isEmpty ? nil : account.joined(separator: " ")),
            ("Description", parties.description), ("Receipt message", parties.receiptMessage),
        ]
        return all.compactMap { name, value in
            guard let value, !value.isEmpty else { return nil }
            var view = View()
            view.text("name", name)
            view.text("value", isRevealed ? value : Mask.text(value))
            return view
        }
    }
}

/// A payout's history as a timeline: each status with its webhook, each webhook with its deliveries and attempts.
struct PayoutTimeline {
    private let history: [PayoutChange]
    private let notifications: [JSONObject]

    /// With what was sent as the delivery log writes it.
    init(_ history: [PayoutChange], _ log: [LoggedNotification]) {
        self.history = history
        notifications = log.compactMap { notification in
            var writer = JSONWriter()
            notification.write(into: &writer)
            return (try? JSONParser.parse(writer.bytes))?.object
        }
    }

    /// Newest first.
    var views: [View] {
        history.map { change in
            var view = View()
            view["state"] = .view(Shown.pill(change.status.name))
            view.text("at", Shown.time(change.at))
            view.text("sequence", change.sequence)
            let own = notifications.filter { $0["sequence"]?.integer == change.sequence }
            view.list("notifications", own.map(notification))
            view.flag("silent", own.isEmpty)
            return view
        }
    }

    private func notification(_ notification: JSONObject) -> View {
        var view = View()
        view.text("webhook", notification["webhook_id"]?.text)
        view.text("acknowledged", Shown.time(notification["acknowledged_at"]?.text))
        view.list("deliveries", (notification["deliveries"]?.array ?? []).compactMap(\.object).map(delivery))
        return view
    }

    private func delivery(_ delivery: JSONObject) -> View {
        var view = View()
        view.text("kind", delivery["kind"]?.text == "resend" ? "Resend" : "Live")
        view.text("job", delivery["resend"]?.text)
        view["delivery_state"] = .view(Shown.pill(delivery["state"]?.text ?? ""))
        view.text("ended_by", delivery["reason"]?.text.map(Shown.word))
        view.text("next_at", Shown.time(delivery["next_attempt_at"]?.text))
        view.list("attempts", (delivery["attempts"]?.array ?? []).compactMap(\.object).map(attempt))
        return view
    }

    private func attempt(_ attempt: JSONObject) -> View {
        var view = View()
        view.text("number", attempt["number"]?.integer)
        view.text("tried", Shown.time(attempt["at"]?.text))
        view.text("took", attempt["duration_ms"]?.integer.map { "\($0) ms" })
        view.text("code", attempt["status_code"]?.integer.map { String($0) } ?? "none")
        view.text("reason", attempt["reason"]?.text.map(Shown.word) ?? "acknowledged")
        view.text("tone", attempt["reason"]?.text == nil ? "good" : "bad")
        let answer = attempt["answer"]?.text
        view.text("answer", answer?.isEmpty == false ? answer.map(AnswerText.harmless) : nil)
        view.text("location", attempt["location"]?.text.map(AnswerText.harmless))
        view.flag("silent", answer?.isEmpty != false && attempt["location"]?.text == nil)
        return view
    }
}
