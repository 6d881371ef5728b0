import Foundation

/// What the payouts of an import have in common.
struct ImportedKind: Sendable {
    var merchantID = ServerUnderTest.merchantID
    var status = PayoutTexts.paidStatus
    /// Payouts created in each second of their history.
    var perSecond = 50
    /// Their webhooks have bodies of 300 bytes.
    var isPadded = false
    /// Where their webhooks go, by index.
    var url: @Sendable (Int) -> String = { _ in "https://shop.example/webhooks/payouts" }

    /// Payouts whose webhooks really arrive somewhere.
    static func at(
        _ receiver: Address, merchantID: Int = ServerUnderTest.merchantID, status: Int = PayoutTexts.paidStatus
    ) -> ImportedKind {
        let url = PayoutTexts.webhookURL(receiver)
        return ImportedKind(merchantID: merchantID, status: status, perSecond: 100, isPadded: true) { _ in url }
    }
}

/// What the benchmarks say to the API, and what the server then says to the receiver.
enum PayoutTexts {
    static let webhookPath = "/webhooks"
    static let webhookBytes = 300

    static func webhookURL(_ receiver: Address) -> String { "http://\(receiver)\(webhookPath)" }

    static func create(index: Int, receiver: Address) -> String {
        """
        {"merchant_id":\(ServerUnderTest.merchantID),"payment_method":"PIX","currency":"BRL","country":"BR",\
        "amount":43.34,"invoice":"\(invoice(index))","notification_url":"\(webhookURL(receiver))",\
        "beneficiary":{"name":"Maria Benchmark","document":{"type":"CPF","number":"82608288200"}},\
        "pix":{"pix_key":"82608288200"}}
        """
    }

    /// The line of an import for the payout whose id is `index` + 1: paid five minutes after its creation.
    static func line(index: Int, _ kind: ImportedKind = ImportedKind()) -> String {
        let created = importedFrom + index / kind.perSecond
        let endToEnd = kind.isPadded ? endToEnd(id: index + 1) : "E18236120202403240805s0000000000"
        return """
            {"merchant_id":\(kind.merchantID),"id":\(index + 1),"invoice":"\(invoice(index))",\
            "amount":"43.34","currency":"BRL","notification_url":"\(kind.url(index))",\
            "status_id":\(kind.status),"end_to_end":"\(endToEnd)","status_detail":null,\
            "created_at":"\(zulu(created))","updated_at":"\(zulu(created + 300))"}

            """
    }

    /// 2026-03-24 08:00:00.
    static let importedFrom = 1_774_339_200

    private static func zulu(_ seconds: Int) -> String {
        CivilTime.text(seconds).replacingOccurrences(of: " ", with: "T") + "Z"
    }

    static func paid(id: Int) -> String {
        "{\"status_id\":\(paidStatus),\"end_to_end\":\"\(endToEnd(id: id))\"}"
    }

    static func paid(ids: some Collection<Int>) -> String {
        let items = ids.map { "{\"id\":\($0),\"status_id\":\(paidStatus),\"end_to_end\":\"\(endToEnd(id: $0))\"}" }
        return "{\"transitions\":[\(items.joined(separator: ","))]}"
    }

    static func resend(from start: Int, to end: Int, merchantID: Int = ServerUnderTest.merchantID) -> String {
        """
        {"merchant_id":\(merchantID),"start_time":"\(CivilTime.text(start))",\
        "end_time":"\(CivilTime.text(end))","status_ids":[\(paidStatus)],"dry_run":false}
        """
    }

    static func webhookBody(id: Int) -> String {
        """
        {"id":\(id),"invoice":"\(invoice(id))","end_to_end":"\(endToEnd(id: id))",\
        "status":{"id":\(paidStatus),"name":"Paid"},"updated_at":"2026-03-24 08:05:30"}
        """
    }

    static let paidStatus = 3
    static let waitingStatus = 7

    /// Looks like a random UUID, as invoices do, and so does not lie in the order of the ids.
    private static func invoice(_ index: Int) -> String {
        let digits = Array(hex(mixed(UInt64(index))) + hex(mixed(UInt64(index) ^ 0x5555_5555)))
        return [digits[..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20...]]
            .map { String($0) }.joined(separator: "-")
    }

    /// As long as it takes for a body of 300 bytes.
    private static func endToEnd(id: Int) -> String {
        let rest = 139 + String(id).utf8.count
        return "E18236120202403240805s" + String(repeating: "0", count: webhookBytes - rest - 22)
    }

    /// The finalizer of SplitMix64: neighbours in, strangers out, none twice.
    private static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
