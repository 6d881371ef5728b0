import ReenvioModel

/// The resend form where one job cannot do what it asks for: several merchants or all, or a range longer than a window.
struct BatchForm {
    private(set) var body = JSONObject()

    /// Nil where one job can. `single` is the body that one job would have.
    init?(_ single: JSONObject, _ visit: Visit) {
        let named = (visit.field("merchant") ?? "").lowercased()
        let parts = named.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        let isAll = ["all", "*"].contains(named)
        guard isAll || parts.count > 1 || Self.isLong(single) else { return nil }
        if isAll {
            body.set("all_merchants", .bool(true))
        } else if parts.count > 1 {
            let merchants = parts.map { part -> JSONValue in JSONNumber(part).map { .number($0) } ?? .string(part) }
            body.set("merchant_ids", .array(merchants))
        } else if let merchant = single["merchant_id"] {
            body.set("merchant_ids", .array([merchant]))
        }
        for member in single.members where !["merchant_id", "explain"].contains(member.key) {
            body.set(member.key, member.value)
        }
    }

    private static func isLong(_ body: JSONObject) -> Bool {
        let times = ["start_time", "end_time"].compactMap { body[$0]?.text.flatMap(TimeText.parsePlain) }
        return times.count == 2 && times[1].seconds - times[0].seconds > Limits.resendWindowSeconds
    }

    /// The body that dispatches.
    var dispatch: JSONObject {
        var dispatch = JSONObject()
        for member in body.members where member.key != "dry_run" { dispatch.set(member.key, member.value) }
        return dispatch
    }

    /// What a dry run answered, by merchant.
    func write(_ count: JSONObject, into view: inout View) {
        view.list("faults", [])
        view.flag("counted", true)
        view.text("total", count["total"]?.integer.map(Shown.number))
        view.flag("matches", count["total"]?.integer != 0)
        view.flag("by_merchant_counted", true)
        view.text("windows", count["windows"]?.integer.map(Shown.number))
        view.list(
            "by_merchant",
            (count["by_merchant"]?.array ?? []).compactMap(\.object).map { share in
                var view = View()
                view.text("part", share["merchant_id"]?.integer.map { "Merchant \($0)" })
                view.text("amount", share["total"]?.integer.map(Shown.number))
                return view
            })
    }
}
