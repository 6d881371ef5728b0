import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Receivers: how they fared in the last hour, pause and resume, and a ping.
struct ReceiverPages: Sendable {
    static let path = SignIn.home + "/receivers"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path, Layout.Place.receivers.access) { try await show($0) },
            Page(.post, Self.path + "/ping", .key(.receiversWrite), ping),
            Page(.post, Self.path + "/{id}/pause", .key(.receiversWrite)) { try await press("pause", $0) },
            Page(.post, Self.path + "/{id}/resume", .key(.receiversWrite)) { try await press("resume", $0) },
        ]
    }

    private func show(_ visit: Visit, status: Int = 200, _ more: View = View()) async throws -> Answer {
        var view = more
        if view["faults"] == nil { view.list("faults", []) }
        let merchantID = visit.asked("merchant_id").flatMap { JSONNumber($0)?.integer }
        let after = visit.asked("cursor").flatMap(CursorPage.position)
        let found = try await desk.engine.store.listReceivers(
            merchantID: merchantID ?? visit.caller.onlyMerchantID, accountID: visit.accountID,
            merchants: visit.key.merchants, CursorPage(after: after), isBounded: true)
        let mayPress = visit.caller.may(.receiversWrite)
        view.list(
            "receivers",
            found.receivers.map { receiver in
                var view = Self.row(receiver, desk)
                view.flag("may_pause", mayPress && receiver.health != .paused)
                view.flag("may_resume", mayPress && [.paused, .broken].contains(receiver.health))
                return view
            })
        view.text("filter", merchantID.map { String($0) } ?? "")
        let kept = merchantID.map { "merchant_id=\($0)&" } ?? ""
        view.text("next", found.next.map { "\(Self.path)?\(kept)cursor=\($0)" })
        view.flag("may_ping", mayPress)
        if view["url"] == nil { view.text("url", "") }
        view.list(
            "merchants", try await desk.engine.store.merchants(for: visit.caller).map(SettingsPages.option))
        view.text("curl", desk.curl(.get, "/v2/receivers", query: merchantID.map { [("merchant_id", "\($0)")] } ?? []))
        return try Layout.page("receivers", .receivers, status: status, view, for: visit)
    }

    /// A receiver in a list, with its last hour as bars.
    static func row(_ receiver: Receiver, _ desk: Desk) -> View {
        var view = View()
        view.text("id", receiver.id)
        view.text("merchant", receiver.merchantID)
        view.text("origin", receiver.origin)
        view["health"] = .view(Shown.pill(receiver.health.rawValue))
        view.text("since", Shown.time(receiver.since))
        view.text("waiting", receiver.waiting > 1_000 ? "more than 1 000" : String(receiver.waiting))
        let beats = desk.engine.pulse.receiver(receiver.id, now: desk.engine.clock.wall)
        let good = beats.map(\.delivered).reduce(0, +)
        let bad = beats.map(\.failed).reduce(0, +)
        view.text("hour", "\(Shown.number(good)) delivered, \(Shown.number(bad)) failed in the last hour")
        view.text("good_path", Self.bars(beats, from: { _ in 0 }, count: \.delivered))
        view.text("bad_path", Self.bars(beats, from: { $0.delivered }, count: \.failed))
        return view
    }

    private static let height = 24.0

    /// One bar a minute, four units apart, as a path.
    private static func bars(
        _ beats: [Pulse.Beat], from: (Pulse.Beat) -> Int64, count: KeyPath<Pulse.Beat, Int64>
    ) -> String {
        let peak = Double(max(1, beats.map { $0.delivered + $0.failed }.max() ?? 1))
        let parts = beats.enumerated().compactMap { place, beat -> String? in
            guard beat[keyPath: count] > 0 else { return nil }
            let bottom = height * (1 - Double(from(beat)) / peak)
            let top = max(0, min(bottom - 2, height * (1 - Double(from(beat) + beat[keyPath: count]) / peak)))
            return "M\(place * 4) \(Int(bottom.rounded()))V\(Int(top.rounded()))h3V\(Int(bottom.rounded()))z"
        }
        return parts.isEmpty ? "M0 0" : parts.joined()
    }

    // MARK: Buttons

    private func press(_ button: String, _ visit: Visit) async throws -> Answer {
        let id = try visit.id("id", orThrow: Problem.notFound("Receiver not found."))
        _ = try await desk.ask(.post, "/v2/receivers/\(id)/\(button)", as: visit)
        return Layout.redirect(Self.path)
    }

    private func ping(_ visit: Visit) async throws -> Answer {
        var view = View()
        view.text("url", visit.field("url") ?? "")
        view.text("ping_merchant", visit.field("merchant") ?? "")
        var merchantID = visit.field("merchant").flatMap { JSONNumber($0)?.integer }
        if visit.field("merchant") == nil {
            merchantID = try await desk.engine.store.onlyMerchant(for: visit.caller)?.id
        }
        guard let merchantID else {
            view.list("faults", Shown.faults(Faults("merchant", "The merchant field must be a merchant's number.")))
            return try await show(visit, status: 422, view)
        }
        var body = JSONObject()
        if let url = visit.field("url") { body.set("url", .string(url)) }
        do {
            let answer = try await desk.ask(.post, "/v2/merchants/\(merchantID)/ping", body, as: visit)
            view.flag("pinged", true)
            view.text("ping_tone", answer["acknowledged"]?.bool == true ? "good" : "bad")
            let code = answer["status_code"]?.integer.map { "answered \($0)" }
            let reason = answer["reason"]?.text.map(Shown.word)
            view.text("ping_code", code ?? reason ?? "no answer")
            view.text("ping_took", answer["duration_ms"]?.integer.map { "\($0) ms" })
            let text = answer["answer"]?.text
            view.text("ping_answer", text?.isEmpty == false ? text.map(AnswerText.harmless) : nil)
            view.text("ping_location", answer["location"]?.text.map(AnswerText.harmless))
            return try await show(visit, view)
        } catch let faults as Faults {
            view.list("faults", Shown.faults(faults))
            return try await show(visit, status: 422, view)
        }
    }
}
