import ReenvioModel
import Testing

/// `docs/contract.md` 13.4: RFC 4180, and a JSON object a line.
struct LedgerFormatTests {
    private func item(invoice: String?) -> LedgerItem {
        LedgerItem(
            payoutID: 7, invoice: invoice, webhookID: WebhookID(id: 1, nonce: 2), outcome: .undelivered, attempts: 2,
            lastStatusCode: 500, lastReason: "http_status", lastAttemptAt: Timestamp(seconds: 1_774_339_200))
    }

    private func text(_ format: LedgerFormat, _ items: [LedgerItem]) -> String {
        String(decoding: format.bytes(items), as: UTF8.self)
    }

    @Test(arguments: [
        ("plain", "plain"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("a\r\nb", "\"a\r\nb\""),
        ("a\nb", "\"a\nb\""), ("a\rb", "\"a\rb\""), ("=1+1", "=1+1"), (" é ", " é "), (nil, ""),
    ])
    func `csv quotes what must be quoted, and nothing else`(_ invoice: String?, _ field: String) {
        let rest = "\(WebhookID(id: 1, nonce: 2)),undelivered,2,500,http_status,2026-03-24T08:00:00Z\r\n"
        #expect(text(.csv, [item(invoice: invoice)]) == "7,\(field),\(rest)")
    }

    @Test func `null is empty in csv and null in ndjson`() {
        let bare = LedgerItem(
            payoutID: 7, invoice: nil, webhookID: nil, outcome: .pending, attempts: 0, lastStatusCode: nil,
            lastReason: nil, lastAttemptAt: nil)
        #expect(text(.csv, [bare]) == "7,,,pending,0,,,\r\n")
        let line =
            #"{"payout_id":7,"invoice":null,"webhook_id":null,"outcome":"pending","attempts":0,"#
            + #""last_status_code":null,"last_reason":null,"last_attempt_at":null}"# + "\n"
        #expect(text(.ndjson, [bare, bare]) == line + line)
    }

    @Test func `the header row has the keys of the pages`() {
        let line = text(.ndjson, [item(invoice: "x")])
        let names = String(decoding: LedgerFormat.csv.head, as: UTF8.self).dropLast().split(separator: ",")
        let places = names.compactMap { line.firstRange(of: "\"\($0)\":")?.lowerBound }
        #expect(places.count == 8 && places == places.sorted())
        #expect(LedgerFormat.ndjson.head.isEmpty)
    }
}
