import ReenvioModel
import Testing

private let account = #""source_account_branch_identifier":"0001","source_account_number":"123456""#
private let dates = #""start_datetime":"2026-05-01T00:00:00Z","end_datetime":"2026-05-12T23:59:59-03:00""#

/// The body of a v3 resend (`docs/contract.md` 6.1 to 6.3).
struct ResendLogRequestTests {
    private func parse(_ members: String) throws -> ResendLogRequest {
        guard case .object(let object) = try JSONParser.parse("{\(members)}".utf8) else {
            throw Faults("body", "no object")
        }
        return try ResendLogRequest.parse(object)
    }

    @Test func `one object, a range, and an object within a range`() throws {
        let one = try parse(#""resend_type":"CASHOUT","object_reference_id":66300134"#)
        #expect(one == ResendLogRequest(category: .cashOut, objectID: 66_300_134, range: nil))
        let range = try parse(#""resend_type":"CASHIN",\#(account),\#(dates)"#)
        #expect(range.category == .cashIn)
        #expect(range.objectID == nil)
        #expect(range.range?.account == AccountName(branch: "0001", number: "123456"))
        #expect(range.range?.window == ResendWindow(startSeconds: 1_777_593_600, endSeconds: 1_778_641_199))
        let both = try parse(
            #""resend_type":"CASHIN","object_reference_id":1,\#(account),\#(dates)"#)
        #expect(both.objectID == 1)
        #expect(both.range == range.range)
    }

    @Test(
        "every fault has its field",
        arguments: [
            (#""object_reference_id":1"#, ["resend_type"]),
            (#""resend_type":"cashin","object_reference_id":1"#, ["resend_type"]),
            (#""resend_type":"CASHIN""#, ["object_reference_id"]),
            (#""resend_type":"CASHIN","object_reference_id":"1""#, ["object_reference_id"]),
            (#""resend_type":"CASHIN","object_reference_id":0"#, ["object_reference_id"]),
            (#""resend_type":"CASHIN","object_reference_id":1.5"#, ["object_reference_id"]),
            (#""resend_type":"CASHIN",\#(account)"#, ["start_datetime", "end_datetime"]),
            (#""resend_type":"CASHIN",\#(dates)"#, ["source_account_branch_identifier", "source_account_number"]),
            (
                #""resend_type":"CASHIN",\#(account),"start_datetime":"2026-05-01T00:00:00Z""#, ["end_datetime"]
            ),
            (
                #""resend_type":"CASHIN",\#(account),"start_datetime":"2026-05-01T00:00:00","end_datetime":"x""#,
                ["start_datetime", "end_datetime"]
            ),
            (
                #""resend_type":"CASHIN",\#(account),"start_datetime":"2026-05-01T00:00:00Z","#
                    + #""end_datetime":"2026-05-01T00:00:00Z""#, ["end_datetime"]
            ),
            (
                #""resend_type":"CASHIN",\#(account),"start_datetime":"2026-05-01T00:00:00Z","#
                    + #""end_datetime":"2026-06-01T00:00:01Z""#, ["end_datetime"]
            ),
        ])
    func faults(_ members: String, _ fields: [String]) {
        let faults = #expect(throws: Faults.self) { try parse(members) }
        #expect(faults?.entries.map(\.field) == fields)
    }

    @Test func `31 days exactly are allowed, and the future is`() throws {
        let range = try parse(
            #""resend_type":"CASHIN",\#(account),"start_datetime":"2099-05-01T00:00:00Z","#
                + #""end_datetime":"2099-06-01T00:00:00Z""#)
        #expect(range.range != nil)
    }
}
