import ReenvioModel

/// Changes to the counts of payouts that match (`docs/architecture.md`, rule 3), summed over a transaction so that each
/// cell is written once: by minute, which a dry run and a dispatch add up, and by minute and receiver, which an
/// explained dry run does.
struct MatchCounts {
    private struct Cell: Hashable {
        var merchantID: Int64
        var minute: Int64
        var receiverID: Int64
        var statusID: Int64

        static func < (left: Cell, right: Cell) -> Bool {
            (left.merchantID, left.minute, left.receiverID, left.statusID)
                < (right.merchantID, right.minute, right.receiverID, right.statusID)
        }
    }

    private struct Sum {
        var current: Int64 = 0
        var unacked: Int64 = 0

        var isNothing: Bool { current == 0 && unacked == 0 }

        mutating func add(_ other: Sum) {
            current += other.current
            unacked += other.unacked
        }
    }

    private var sums: [Cell: Sum] = [:]

    mutating func add(
        _ merchantID: Int64, _ status: PayoutStatus, receiverID: Int64, second: Int64, current: Int64, unacked: Int64
    ) {
        let cell = Cell(
            merchantID: merchantID, minute: ResendWindow.minute(ofSecond: second), receiverID: receiverID,
            statusID: status.id)
        sums[cell, default: Sum()].add(Sum(current: current, unacked: unacked))
    }

    func save(in db: any SQLConnection) throws {
        if sums.isEmpty { return }
        var byMinute: [Cell: Sum] = [:]
        for (cell, sum) in sums {
            var minute = cell
            minute.receiverID = 0
            byMinute[minute, default: Sum()].add(sum)
        }
        try save(byMinute, Self.addByMinute, in: db)
        try save(sums, Self.addByReceiver, in: db)
    }

    private func save(_ sums: [Cell: Sum], _ sql: String, in db: any SQLConnection) throws {
        var rows = SQLRows([
            ("merchant_id", .int), ("minute", .int), ("receiver_id", .int), ("status_id", .int), ("current", .int),
            ("unacked", .int),
        ])
        for (cell, sum) in sums.sorted(by: { $0.key < $1.key }) where !sum.isNothing {
            rows.append([
                .int(cell.merchantID), .int(cell.minute), .int(cell.receiverID), .int(cell.statusID),
                .int(sum.current), .int(sum.unacked),
            ])
        }
        try db.batch(sql, rows)
    }

    private static let addByMinute = """
        INSERT INTO minute_counts (merchant_id, status_id, minute, current, unacked)
        SELECT rows.merchant_id, rows.status_id, rows.minute, rows.current, rows.unacked
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, status_id, minute) DO UPDATE SET
            current = minute_counts.current + excluded.current, unacked = minute_counts.unacked + excluded.unacked
        """

    private static let addByReceiver = """
        INSERT INTO receiver_counts (merchant_id, minute, receiver_id, status_id, current, unacked)
        SELECT rows.merchant_id, rows.minute, rows.receiver_id, rows.status_id, rows.current, rows.unacked
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, minute, receiver_id, status_id) DO UPDATE SET
            current = receiver_counts.current + excluded.current,
            unacked = receiver_counts.unacked + excluded.unacked
        """
}
