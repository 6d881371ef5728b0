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
            occurredAt: occurred.map { Self.now + $0 })
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
