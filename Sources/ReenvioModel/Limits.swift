/// Every bound of the product in one place (`docs/architecture.md`, rule 12). Units stand last in the names.
package enum Limits {
    // HTTP in
    package static let requestBodyBytes = 1 << 20
    package static let jsonDepth = 32
    package static let transitionsPerRequest = 1_000
    package static let faultsReported = 100
    package static let idempotencyKeyBytes = 255
    /// How long a key is remembered (`docs/contract.md` 13.8).
    package static let idempotencyKeptSeconds: Int64 = 24 * 3_600
    /// Pages of lists beyond the published contract (`docs/contract.md` 13).
    package static let pageSizeDefault: Int64 = 20
    package static let pageSizeMax: Int64 = 100

    // HTTP out (`docs/contract.md` 3.3)
    package static let responseHeadSeconds = 5
    package static let responseBodySeconds = 2
    package static let responseBodyBytes = 64 << 10
    package static let responseHeadBytes = 64 << 10
    package static let answerBytesKept = 1_000
    package static let connectionAgeSeconds = 600
    package static let requestsPerConnection = 10_000
    package static let idleConnectionSeconds = 30
    package static let connectionsPerReceiver = 128

    // Name resolution (`docs/architecture.md`, rule 10)
    package static let lookupSeconds = 2
    package static let lookupsAtOnce = 16
    package static let lookupAnswerKeptSeconds = 30
    package static let lookupFailureKeptSeconds = 5
    package static let namesKept = 10_000
    /// The addresses of a name that are tried, one a moment after the other (RFC 8305), and the seconds within which a
    /// name is asked for and a receiver's connections are replaced once at most.
    package static let addressesTried = 6
    package static let addressEveryMilliseconds = 250
    package static let renewSeconds = 1
    /// Open files that deliveries leave to others, and the number below which a server warns of its limit.
    package static let descriptorsReserved = 96
    package static let openFilesWanted: UInt64 = 4_096
    /// Of the open files that deliveries leave, those that inbound connections leave to the store and the system.
    package static let descriptorsOfStore = 64
    /// How long what cannot be read or written is passed over before it is tried again.
    package static let setAsideSeconds: Int64 = 3_600

    // Delivering (`docs/architecture.md`, rules 4 and 5)
    /// Twice as many as there are connections: what is claimed ahead keeps them busy while the next commit is made.
    package static let attemptsInFlightPerReceiver = 2 * connectionsPerReceiver
    package static let attemptsInFlightPerNode = 1_024
    package static let receiversKept = 10_000
    package static let receiversPerRelease = 1_000
    /// Deliveries of one origin under way at once in a node, over all merchants.
    package static let attemptsInFlightPerOrigin = 512
    /// Probes of broken receivers under way at once in a node.
    package static let probesInFlight = attemptsInFlightPerNode / 8
    /// What an open breaker has deferred for so long is given up (`docs/contract.md` 3.4).
    package static let brokenKeptSeconds: Int64 = 72 * 3_600
    package static let claimBatch = 512
    package static let leaseSeconds = 30
    package static let startWithinSeconds = 15

    // Writing (`docs/architecture.md`, rules 1 and 6)
    package static let changesPerCommit = 512
    package static let outcomesPerCommit = 1_000
    package static let changesWaiting = 20_000

    // The log of a SQLite store (`docs/operations.md`)
    /// Bytes that the log file keeps after a checkpoint restarts it; a longer one is truncated once no reader uses it.
    package static let logBytesKept: Int64 = 64 << 20
    package static let logBytesGivenBack: Int64 = 128 << 20
    /// The lengths from which a server warns, lets wait what can, and takes nothing new in.
    package static let logBytesWarned: Int64 = 256 << 20
    package static let logBytesPausing: Int64 = 1 << 30
    package static let logBytesRefusing: Int64 = 4 << 30

    // Looking at a store whole (`docs/operations.md`)
    /// Lines of one kind that `reenvio check --deep` prints, and the room on a disk that its copy leaves to others.
    package static let damageLines = 20
    package static let diskBytesLeft: Int64 = 64 << 20

    /// Rows of one commit of `reenvio copy`.
    package static let rowsPerCopy = 1_000

    // Importing (`docs/importing.md`)
    package static let importLinesPerCommit = 1_000
    package static let importLinesPerCommitMin = 200
    package static let importLineBytes = 1 << 20
    /// Leaves the id sequence room behind whatever was imported.
    package static let importedIDMax: Int64 = 1 << 62
    /// Ids reserved beyond the largest known one where lines come through a pipe.
    package static let importIDStep: Int64 = 1_000_000

    // Resending (`docs/contract.md` 4 and 5, `docs/architecture.md`, rule 3)
    package static let resendChunk = 200
    package static let resendEntriesPerStep = 5_000
    package static let resendWindowSeconds: Int64 = 3 * 3_600
    /// A resend over a longer range or several merchants (`docs/contract.md` 13.17): its longest range, its merchants,
    /// and how many of those have running jobs at once.
    package static let batchRangeSeconds: Int64 = 31 * 86_400
    package static let batchMerchants = 1_000
    /// Most merchants that a key may be limited to.
    package static let keyMerchants = 100
    package static let batchMerchantsAtOnce: Int64 = 4
    /// Running batches that one step looks at.
    package static let batchesLookedAt = 16
    /// The longest range of a v3 resend (`docs/contract.md` 6.3).
    package static let logWindowSeconds: Int64 = 31 * 86_400
    /// How long a message of a v3 resend waits behind a pause or an open breaker (`docs/contract.md` 6.4).
    package static let logWaitSeconds: Int64 = 24 * 3_600
    /// Attempts a second of a paced resend, and how many may go first (`docs/contract.md` 13.6, 13.14).
    package static let paceMax: Int64 = 10_000
    package static let canaryMax: Int64 = 1_000
    /// Receivers that an explained dry run names, and attempts that its estimate looks back at.
    package static let explainedReceivers = 20
    package static let attemptsLookedBackAt = 200
    /// A receiver that asked to be left alone for longer makes an estimate impossible (`docs/contract.md` 13.7).
    package static let holdEstimatedSeconds: Int64 = 60
    /// Running resends that one step looks at for one that can go on.
    package static let resendsLookedAt = 64
    /// Deliveries of a paced resend that one claim puts off because their slots are lost.
    package static let slotsRenewed = 1_000
    /// Changed registrations that one step of the janitor looks after.
    package static let registrationsPerSweep = 100
    /// Changes on a merchant's clock that one commit of a move of its URLs looks at, and one call of it
    /// (`docs/contract.md` 13.16).
    package static let changesPerMoveStep = 1_000
    package static let changesPerMove = 200_000
    /// Deliveries of a job that are looked at to say whether it can only wait.
    package static let pendingLookedAt = 1_000
    /// A job's ledger (`docs/contract.md` 13.4): most rows that a page looks at for an outcome, how many at a time, and
    /// how many items of a whole ledger are in memory at once.
    package static let ledgerLookedAt = 10_000
    package static let ledgerStep = 500
    package static let ledgerPiece: Int64 = 1_000
    package static let resendShownSeconds: Int64 = 24 * 3_600

    // Telling the operator (`docs/operations.md`)
    package static let noticesAtOnce = 8
    /// Notices that wait; beyond them no more of the frequent ones are written.
    package static let noticesWaiting = 10_000
    /// What could not be told for so long is news no more.
    package static let noticeKeptSeconds: Int64 = 7 * 86_400

    // Secrets (`docs/contract.md` 13.12)
    package static let overlapHoursDefault: Int64 = 24
    package static let overlapHoursMax: Int64 = 30 * 24

    // Users and their tokens (`docs/contract.md` 9)
    package static let accessTokenSeconds: Int64 = 3_600
    package static let accessTokenBytes = 2_048
    package static let policiesPerUser = 1_000

    // Registrations (`docs/contract.md` 6.5)
    package static let registrationsPerMerchant: Int64 = 100

    // The dashboard
    package static let sessionIdleSeconds: Int64 = 30 * 60
    package static let sessionSeconds: Int64 = 12 * 3_600
    package static let formBytes = 64 << 10
    package static let searchCharacters = 255
    /// Merchants of an account that a page looks at, and open deliveries or changes that it counts.
    package static let merchantsLookedAt = 200
    package static let countedForPages: Int64 = 10_000
    /// Attempts of a payout that a page shows at once: with their answers they are most of what it weighs.
    package static let attemptsShown = 25
    package static let liveStreams = 200
    package static let liveStreamSeconds: Int64 = 15 * 60

    // Fields (`docs/contract.md` 2.1)
    /// Of every text that has no bound of its own.
    package static let textCharacters = 255
    package static let notificationURLCharacters = 255
    package static let occurredAheadSeconds: Int64 = 300
    /// An image of a QR code, its URL, or what is copied and pasted (`docs/contract.md` 8.2).
    package static let cashInTextCharacters = 256 << 10
}
