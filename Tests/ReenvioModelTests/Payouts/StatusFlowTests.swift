import ReenvioModel
import Testing

@Suite struct StatusFlowTests {
    private static let now = Timestamp(microseconds: 1_774_339_532_654_321)

    private func decide(
        _ status: PayoutStatus, from current: PayoutStatus = .processing, occurred: Duration? = nil,
        changed: Duration = .seconds(-60), detail: Bool = false, allowsDetail: Bool = false
    ) -> StatusFlow.Decision {
        let change = StatusChangeRequest(
            payoutID: 1, status: status, statusDetail: detail ? .init(code: "WE0001", detail: "Unregistered") : nil,
            occurredAt: occurred.map { GivenTime(Self.now + $0) })
        let current = StatusFlow.Current(
            status: current, changedAt: Self.now + changed, allowsStatusDetail: allowsDetail)
        return StatusFlow.decide(change, on: current, now: Self.now)
    }

    // MARK: occurred_at

    @Test func isDatedNowByDefault() {
        #expect(decide(.paid) == .apply(at: Self.now))
    }

    @Test(arguments: [Duration.zero, .seconds(-59), .microseconds(-1), .seconds(299), .seconds(300)])
    func isDatedAsGiven(occurred: Duration) {
        #expect(decide(.paid, occurred: occurred) == .apply(at: Self.now + occurred))
    }

    /// The time of the current change itself is not earlier than it.
    @Test func mayHappenAtTheSameMoment() {
        #expect(decide(.paid, occurred: .seconds(-60)) == .apply(at: Self.now - .seconds(60)))
    }

    @Test(arguments: [Duration.microseconds(-60_000_001), .seconds(-61), .seconds(-86_400)])
    func refusesAGivenTimeBeforeTheCurrentChange(occurred: Duration) {
        #expect(decide(.paid, occurred: occurred) == .refused(.laterStatusRecorded))
        #expect(StatusFlow.Refusal.laterStatusRecorded.message == "A later status is already recorded.")
    }

    /// A date is compared at the precision at which it was written, and raised to the change before.
    @Test(arguments: [
        "2026-03-24T08:05:29Z", "2026-03-24T08:05:29.5Z", "2026-03-24T08:05:29.52Z", "2026-03-24T08:05:29.524Z",
        "2026-03-24T08:05:29.5245Z", "2026-03-24T08:05:29.52451Z", "2026-03-24T08:05:29.524512Z",
        "2026-03-24T08:05:29.5245129Z", "2026-03-24T08:05:29.524512999Z", "2026-03-24T08:05:29+00:00",
        "2026-03-24T05:05:29-03:00", "2026-03-24T13:35:29.524+05:30",
    ])
    func isTheSameMomentAtItsOwnPrecision(text: String) throws {
        #expect(try decide(text, after: "2026-03-24T08:05:29.524512Z") == .apply(at: "2026-03-24T08:05:29.524512Z"))
    }

    @Test(arguments: [
        "2026-03-24T08:05:28Z", "2026-03-24T08:05:28.999999999Z", "2026-03-24T08:05:29.0Z", "2026-03-24T08:05:29.4Z",
        "2026-03-24T08:05:29.523Z", "2026-03-24T08:05:29.524511Z", "2026-03-24T08:05:29.524511999Z",
        "2026-03-24T05:05:28-03:00", "2026-03-24T08:04:59Z",
    ])
    func isEarlierAtItsOwnPrecision(text: String) throws {
        #expect(try decide(text, after: "2026-03-24T08:05:29.524512Z") == .refused(.laterStatusRecorded))
    }

    @Test(arguments: ["2026-03-24T08:05:30Z", "2026-03-24T08:05:29.6Z", "2026-03-24T08:05:29.524513Z"])
    func isLaterAtItsOwnPrecision(text: String) throws {
        #expect(try decide(text, after: "2026-03-24T08:05:29.524512Z") == .apply(at: text))
    }

    /// Before 1970 seconds are rounded down, too.
    @Test func comparesBeforeTheEpoch() throws {
        #expect(
            try decide("1969-12-31T23:59:58Z", after: "1969-12-31T23:59:58.5Z") == .apply(at: "1969-12-31T23:59:58.5Z"))
        #expect(try decide("1969-12-31T23:59:57Z", after: "1969-12-31T23:59:58.5Z") == .refused(.laterStatusRecorded))
    }

    private enum Dated: Equatable {
        case apply(at: String)
        case refused(StatusFlow.Refusal)
    }

    private func decide(_ given: String, after stored: String) throws -> Dated {
        let body = #"{"status_id":3,"occurred_at":"\#(given)"}"#
        guard case .object(let object) = try JSONParser.parse(Array(body.utf8)) else { return .apply(at: "no object") }
        let change = try StatusChangeRequest.parse(object, payoutID: 1)
        let changedAt = try #require(TimeText.parseRFC3339(stored))
        let current = StatusFlow.Current(status: .processing, changedAt: changedAt, allowsStatusDetail: false)
        switch StatusFlow.decide(change, on: current, now: Self.now) {
        case .apply(let at):
            let texts = [given, stored].filter { TimeText.parseRFC3339($0) == at }
            return .apply(at: texts.contains(stored) ? stored : texts.first ?? TimeText.micro(at))
        case .refused(let refusal): return .refused(refusal)
        case .unchanged: return .apply(at: "unchanged")
        }
    }

    /// A default is raised to the current change's time: `updated_at` never runs backwards.
    @Test(arguments: [Duration.microseconds(1), .seconds(1), .seconds(300), .seconds(86_400)])
    func raisesADefaultToTheCurrentChange(ahead: Duration) {
        #expect(decide(.paid, changed: ahead) == .apply(at: Self.now + ahead))
    }

    @Test func refusesAGivenTimeBeforeACurrentChangeAhead() {
        #expect(decide(.paid, occurred: .seconds(100), changed: .seconds(200)) == .refused(.laterStatusRecorded))
        #expect(decide(.paid, occurred: .seconds(200), changed: .seconds(200)) == .apply(at: Self.now + .seconds(200)))
    }

    @Test(arguments: [Duration.microseconds(300_000_001), .seconds(301), .seconds(86_400)])
    func refusesMoreThanFiveMinutesAhead(occurred: Duration) throws {
        let faults = try #require(refused(decide(.paid, occurred: occurred)))
        #expect(
            rendered(faults)
                == #"{"occurred_at":["The occurred_at field must not be more than 5 minutes in the future."]}"#)
        #expect(StatusFlow.Refusal.invalid(faults).message == "Validation error.")
    }

    // MARK: Same and final statuses

    @Test(arguments: PayoutStatus.allCases)
    func changesNothingForTheSameStatus(status: PayoutStatus) {
        #expect(decide(status, from: status) == .unchanged)
        #expect(decide(status, from: status, occurred: .seconds(-3_600)) == .unchanged)
    }

    @Test(arguments: PayoutStatus.allCases.filter(\.isFinal), PayoutStatus.allCases)
    func leavesNoFinalStatus(current: PayoutStatus, target: PayoutStatus) {
        guard target != current else { return }
        #expect(decide(target, from: current) == .refused(.notAllowed(from: current, to: target)))
    }

    /// The state machine speaks before the clock: what can never follow is not called late.
    @Test func namesTheStatusBeforeTheTime() {
        let decision = decide(.canceled, from: .paid, occurred: .seconds(-3_600))
        #expect(decision == .refused(.notAllowed(from: .paid, to: .canceled)))
        guard case .refused(let refusal) = decision else { return }
        #expect(refusal.message == "Status change from 3 to 6 is not allowed.")
    }

    // MARK: status_detail

    @Test func acceptsADetailOfACanceledPayoutWhereTheMerchantHasTheSetting() {
        #expect(decide(.canceled, detail: true, allowsDetail: true) == .apply(at: Self.now))
        #expect(decide(.canceled, from: .canceled, detail: true, allowsDetail: true) == .unchanged)
    }

    @Test(arguments: PayoutStatus.allCases.filter { $0 != .canceled })
    func refusesADetailOfAnyOtherStatus(status: PayoutStatus) throws {
        try expectDetailRefused(decide(status, from: .awaiting, detail: true, allowsDetail: true))
    }

    @Test func refusesADetailWithoutTheSetting() throws {
        try expectDetailRefused(decide(.canceled, detail: true, allowsDetail: false))
    }

    private func expectDetailRefused(_ decision: StatusFlow.Decision) throws {
        let faults = try #require(refused(decision))
        #expect(
            rendered(faults) == #"{"status_detail":["The status_detail field is not accepted for this change."]}"#)
    }

    private func refused(_ decision: StatusFlow.Decision) -> Faults? {
        guard case .refused(.invalid(let faults)) = decision else { return nil }
        return faults
    }

    @Test func namesAnUnknownPayout() {
        #expect(StatusFlow.Refusal.notFound.message == "Payout not found.")
    }
}
