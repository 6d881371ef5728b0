import ReenvioModel
import Testing

@Suite struct PayoutStatusTests {
    /// The table of `docs/contract.md` 1.1.
    @Test(
        arguments: [
            (7, "Awaiting", false, false),
            (1, "Received", true, false),
            (5, "In Review", true, false),
            (2, "Processing", false, false),
            (8, "Processed", false, false),
            (3, "Paid", true, true),
            (4, "Rejected", true, true),
            (6, "Canceled", true, true),
            (10, "Expired", true, true),
            (11, "Invalid Data", true, true),
        ] as [(Int64, String, Bool, Bool)])
    func isOneOfTheTable(id: Int64, name: String, notifiable: Bool, final: Bool) throws {
        let status = try #require(PayoutStatus(id: id))
        #expect(status.id == id)
        #expect(status.name == name)
        #expect(status.isNotifiable == notifiable)
        #expect(status.isFinal == final)
    }

    @Test func hasNoOthers() {
        #expect(PayoutStatus.allCases.count == 10)
    }

    @Test(arguments: [9, 0, -1, 12, 13, 100, 257, 4_294_967_299, .min, .max] as [Int64])
    func refusesUnknownIDs(id: Int64) {
        #expect(PayoutStatus(id: id) == nil)
    }

    @Test func notifiableSet() {
        #expect(PayoutStatus.notifiable.map(\.id) == [1, 3, 4, 5, 6, 10, 11])
    }
}
