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
        ("a\nb", "\"a\nb\""), ("a\rb", "\"a\rb\""), ("a=1", "a=1"),
        ("=1+1", "\"'=1+1\""), ("+1", "\"'+1\""), ("-1", "\"'-1\""), ("@a", "\"'@a\""), ("\tx", "\"'\tx\""),
        ("\r=x", "\"'\r=x\""), ("\r\n=x", "\"'\r\n=x\""), ("=\"x\"", "\"'=\"\"x\"\"\""),
        (" é ", " é "), (nil, ""),
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
        let head = String(decoding: LedgerFormat.csv.head(of: LedgerItem.self), as: UTF8.self)
        let names = head.dropLast().split(separator: ",")
        let places = names.compactMap { line.firstRange(of: "\"\($0)\":")?.lowerBound }
        #expect(places.count == 8 && places == places.sorted())
        #expect(LedgerFormat.ndjson.head(of: LedgerItem.self).isEmpty)
    }

    @Test func `a message of a log has its keys in both forms`() {
        let item = LogLedgerItem(
            eventID: 9, registrationID: 2, objectID: 66, type: "PIX_CASHOUT_SUCCESS",
            webhookID: WebhookID(id: 1, nonce: 2), outcome: .failed, attempts: 0, lastStatusCode: nil,
            lastReason: "erased", lastAttemptAt: nil)
        let message = WebhookID(id: 1, nonce: 2)
        #expect(
            String(
                decoding: LedgerFormat.csv.head(of: LogLedgerItem.self) + LedgerFormat.csv.bytes([item]), as: UTF8.self)
                == "object_reference_id,type,webhook_id,message_id,outcome,attempts,last_status_code,last_reason,"
                + "last_attempt_at\r\n66,PIX_CASHOUT_SUCCESS,2,\(message),failed,0,,erased,\r\n")
        let line =
            #"{"object_reference_id":"66","type":"PIX_CASHOUT_SUCCESS","webhook_id":2,"message_id":"\#(message)","#
            + #""outcome":"failed","attempts":0,"last_status_code":null,"last_reason":"erased","#
            + #""last_attempt_at":null}"# + "\n"
        #expect(String(decoding: LedgerFormat.ndjson.bytes([item]), as: UTF8.self) == line)
    }

    @Test func `the cursor of a log's ledger reads back, and nothing else reads`() {
        let place = LogLedgerPlace(eventID: 4_711, registrationID: 12)
        #expect(LogLedgerPlace(cursor: place.cursor) == place)
        for text in ["", "c", "c1", "c1.", "c.1", "c0.1", "c1.0", "c-1.1", "c1.1.1", "1.1", "cz.1", "c1.1 "] {
            #expect(LogLedgerPlace(cursor: text) == nil, "\(text)")
        }
    }
}
