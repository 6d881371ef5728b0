import ReenvioModel
import ReenvioStore
import ReenvioTesting

/// What the store suite tells, told again so that each statement of the writers is run once.
enum WriterStories {
    typealias Story = @Sendable (TestEngine) async throws -> Void

    static let all: [Story] =
        accounts + deliveries + resends + imports + others

    private static let accounts: [Story] = [
        { try await AccountTests().revoking($0) }, { try await AccountTests().closing($0) },
        { try await AccountTests().claimsInOneCommit($0) }, { try await DashboardQueryTests().keepsSessions($0) },
        { try await RotationTests().overlap($0) }, { try await RotationTests().foreign($0) },
        { try await UserTests().finding($0) }, { try await UserTests().deactivating($0) },
        { try await UserTests().hmacKeys($0) }, { try await UserTests().tokenKeys($0) },
        { try await UserTests().mirrors($0) },
    ]

    private static let deliveries: [Story] = [
        { try await ClaimCursorTests().lateWork($0) }, { try await DeliveryTests().claiming($0) },
        { try await DeliveryTests().lateResults($0) }, { try await DeliveryTests().retryAndRelease($0) },
        { try await DeliveryTests().latestNotification($0) }, { try await DeliveryTests().acknowledgedElsewhere($0) },
        { try await DeliveryTests().tallies($0) }, { try await DeliveryTests().fullReceiver($0) },
        { try await DeliveryTests().sweeping($0) }, { try await MeasureTests().abandoned($0) },
        { try await NoticeTests().outcomes($0) }, { try await NoticeTests().jobs($0) },
        { try await NoticeTests().givenUp($0) }, { try await NoticeTests().leases($0) },
        { try await NoticeTests().holds($0) }, { try await NoticeTests().expires($0) },
    ]

    private static let resends: [Story] = [
        { try await ResendTests().chunks($0) }, { try await ResendTests().changesBetweenChunks($0) },
        { try await ResendTests().lock($0) }, { try await ResendTests().refusedURL($0) },
        { try await ResendTests().backlog($0) }, { try await ResendTests().brokenResend($0) },
        canceled, { try await FailedItemTests().ledger($0) }, { try await FailedItemTests().forgotten($0) },
        { try await LogTests().places($0) }, { try await LogTests().whole($0) },
    ]

    private static let imports: [Story] = [
        { try await ImportTests().storesHistory($0) }, { try await ImportTests().liveChangesFollow($0) },
        { try await ImportTests().idSequence($0) }, { try await ImportTests().merchants($0) },
        { try await ImportAcknowledgedTests().again($0) }, { try await ImportAcknowledgedTests().whileAJobRuns($0) },
        { try await ImportAcknowledgedTests().mirrored($0) }, { try await ImportAgainTests().otherContent($0) },
        { try await ImportAgainTests().withoutID($0) }, { try await ImportAgainTests().duplicationBlock($0) },
        { try await ImportOfMovedPayoutsTests().livePayout($0) }, { try await ImportedResendTests().resends($0) },
    ]

    private static let others: [Story] = [
        { try await IntakeTests().oneCommit($0) }, { try await IntakeTests().itemByItem($0) },
        { try await IntakeTests().duplicationBlock($0) }, { try await MoveTests().everythingMoves($0) },
        { try await MoveTests().underWay($0) }, { try await MoveTests().registrations($0) },
        { try await MoveTests().onePayout($0) }, { try await PeopleTests().erase($0) },
        { try await PeopleTests().resendOfErased($0) }, { try await PeopleTests().findByDocument($0) },
        { try await PeopleTests().partiesRetention($0) }, { try await PeopleTests().answersRetention($0) },
        { try await PeopleTests().otherRetention($0) }, { try await RegistrationTests().moving($0) },
        { try await RegistrationTests().deleting($0) }, { try await RegistrationTests().once($0) },
        { try await RetentionTests().endedDeliveries($0) }, { try await RetentionTests().missingDelivery($0) },
    ]

    /// A job is canceled, and what it enqueued is swept.
    private static let canceled: Story = { kind in
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(3)
        try await store.report(.paid, ids)
        var random = SystemRandomNumberGenerator()
        let start = Fixtures.start.seconds - 60
        let request = ResendRequest(
            merchantID: Fixtures.merchantID, window: ResendWindow(startSeconds: start, endSeconds: start + 600),
            statuses: PayoutStatus.notifiable)
        let opening = ResendOpening(
            accountID: Fixtures.accountID, jobID: Resend.newJobID(using: &random),
            requester: Requester(actor: "test"))
        let now = Fixtures.start + .seconds(1)
        _ = try await store.openResend(request, opening, now: now)
        let rules = ChunkRules(now: now, due: now, policy: AddressPolicy(), backlogMax: 10_000)
        _ = try await store.advanceResend(after: nil, rules)
        _ = try await store.cancelResend(
            jobID: opening.jobID, accountID: nil, by: Requester(actor: "test"), now: now)
        _ = try await store.sweepCanceled(now: now, engineNow: now)
        _ = try await store.pullBack(beyond: now, now: now)
    }
}
