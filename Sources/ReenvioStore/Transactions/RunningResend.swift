import ReenvioModel

/// A running resend as its next step needs it.
struct RunningResend {
    var id: Int64
    var merchantID: Int64
    var kind: Resend.Kind
    var statuses: Set<Int64>
    var windowStart: Int64
    var windowEnd: Int64
    var frozenSeq: Int64
    var cursorSecond: Int64
    var cursorSeq: Int64
    var total: Int64
    var queued: Int64
    var failed: Int64
    var options: ResendOptions
    /// Where there is one and it is not decided, nothing follows it.
    var isCanaryPassed: Bool
    /// Engine time of the next free slot of the pace.
    var nextSlot: Timestamp?
    /// Of v3: the one object, and the registrations, once it has begun.
    var objectID: Int64?
    var registrations: String?

    var pace: PaceSlots? { options.maxPerSecond.map { PaceSlots(perSecond: $0, next: nextSlot) } }

    /// Canaries still to be enqueued; nil where there is no canary, or it has passed.
    private var canariesLeft: Int64? {
        guard let canary = options.canary, !isCanaryPassed else { return nil }
        return queued + failed == total ? 0 : max(0, canary - queued)
    }

    /// Whether all canaries are enqueued and nothing is decided.
    var awaitsCanary: Bool { canariesLeft == 0 }

    /// How many items the next chunk may enqueue; 0 while its pace has no room.
    func chunkRoom(now: Timestamp) -> Int {
        min(
            Limits.resendChunk, pace?.chunkRoom(now: now) ?? Limits.resendChunk,
            canariesLeft.map { Int($0) } ?? Limits.resendChunk)
    }

    /// Those after `last` whose backlog has room, or whose canary is not decided, which no backlog may hold up; then
    /// from the beginning: resends take turns, and the windows of a batch go one after the other. Bounded.
    static func inTurn(after last: Int64, backlogMax: Int64, in db: any SQLConnection) throws -> [RunningResend] {
        var found: [RunningResend] = []
        for (from, to) in [(last + 1, Int64.max), (0, last)] where found.count < Limits.resendsLookedAt {
            found += try db.all(
                load, [.int(from), .int(to), .int(backlogMax), .int(Limits.resendsLookedAt - found.count)],
                RunningResend.init)
        }
        return found
    }

    /// The same as it stands now, which no other node changes until the commit; nil where one takes a step of it, or it
    /// has ended.
    func locked(in db: any SQLConnection) throws -> RunningResend? {
        try db.first(
            "\(Self.columns) FROM resends r WHERE r.id = $1 AND r.state = 'processing' FOR UPDATE SKIP LOCKED",
            [.int(id)], RunningResend.init)
    }

    private static let columns = """
        SELECT r.id, r.merchant_id, r.kind, r.statuses, r.window_start, r.window_end, r.frozen_seq, r.cursor_s,
            r.cursor_seq, r.total, r.queued, r.failed, r.only_unacked, r.max_per_second, r.canary, r.canary_passed,
            \(ResendPaces.nextSlot), r.object_id, r.registrations
        """

    private static let load = """
        \(columns)
        FROM resends r WHERE r.state = 'processing' AND r.id BETWEEN $1 AND $2
            AND ((r.canary IS NOT NULL AND r.canary_passed = 0) OR r.queued - (
                SELECT coalesce(sum(t.delivered + t.undelivered + t.skipped), 0) FROM resend_tallies t
                WHERE t.merchant_id = r.merchant_id AND t.resend_id = r.id) < $3)
            AND (r.batch_id IS NULL OR NOT EXISTS (
                SELECT 1 FROM resends e WHERE e.batch_id = r.batch_id AND e.merchant_id = r.merchant_id
                    AND e.id < r.id AND e.state = 'processing'))
        ORDER BY r.id LIMIT $4
        """

    private init(_ row: any SQLRow) throws {
        guard let kind = Resend.Kind(rawValue: row.text(2)) else {
            throw StoreError.failed("resend \(row.int(0)) is of an unknown kind")
        }
        id = row.int(0)
        merchantID = row.int(1)
        self.kind = kind
        statuses = StatusList.statuses(row.text(3))
        windowStart = row.intIfPresent(4) ?? 0
        windowEnd = row.intIfPresent(5) ?? 0
        frozenSeq = row.int(6)
        cursorSecond = row.int(7)
        cursorSeq = row.int(8)
        total = row.int(9)
        queued = row.int(10)
        failed = row.int(11)
        options = ResendOptions(
            onlyUnacknowledged: row.bool(12), maxPerSecond: row.intIfPresent(13), canary: row.intIfPresent(14))
        isCanaryPassed = row.bool(15)
        nextSlot = row.timeIfPresent(16)
        objectID = row.intIfPresent(17)
        registrations = row.textIfPresent(18)
    }
}
