import ReenvioModel

/// Changes to the counts of payouts that match (`docs/architecture.md`, rule 3), summed over a transaction so that each
/// cell is written once: by minute and by second, which dry runs and dispatches add up, and by minute and receiver,
/// which an explained dry run does.
struct MatchCounts {
    private struct Cell: Hashable {
        var merchantID: Int64
        /// Seconds or minutes.
        var time: Int64
        var receiverID: Int64
        var statusID: Int64

        static func < (left: Cell, right: Cell) -> Bool {
            (left.merchantID, left.time, left.receiverID, left.statusID)
                < (right.merchantID, right.time, right.receiverID, right.statusID)
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

    /// By second and receiver.
    private var sums: [Cell: Sum] = [:]

    mutating func add(
        _ merchantID: Int64, _ status: PayoutStatus, receiverID: Int64, second: Int64, current: Int64, unacked: Int64
    ) {
        let cell = Cell(merchantID: merchantID, time: second, receiverID: receiverID, statusID: status.id)
        sums[cell, default: Sum()].add(Sum(current: current, unacked: unacked))
    }

    func save(in db: any SQLConnection) throws {
        if sums.isEmpty { return }
        func summed(_ coarser: (inout Cell) -> Void) -> [Cell: Sum] {
            var result: [Cell: Sum] = [:]
            for (cell, sum) in sums {
                var coarse = cell
                coarser(&coarse)
                result[coarse, default: Sum()].add(sum)
            }
            return result
        }
        func toMinute(_ cell: inout Cell) { cell.time = ResendWindow.minute(ofSecond: cell.time) }
        try save(summed { $0.receiverID = 0 }, Self.addBySecond, in: db)
        try save(
            summed { cell in
                toMinute(&cell)
                cell.receiverID = 0
            }, Self.addByMinute, in: db)
        try save(summed(toMinute), Self.addByReceiver, in: db)
    }

    private func save(_ sums: [Cell: Sum], _ sql: String, in db: any SQLConnection) throws {
        var rows = SQLRows([
            ("merchant_id", .int), ("time", .int), ("receiver_id", .int), ("status_id", .int), ("current", .int),
            ("unacked", .int),
        ])
        for (cell, sum) in sums.sorted(by: { $0.key < $1.key }) where !sum.isNothing {
            rows.append([
                .int(cell.merchantID), .int(cell.time), .int(cell.receiverID), .int(cell.statusID),
                .int(sum.current), .int(sum.unacked),
            ])
        }
        try db.send(sql, rows)
    }

    private static let addBySecond = """
        INSERT INTO second_counts (merchant_id, second, status_id, current, unacked)
        SELECT rows.merchant_id, rows.time, rows.status_id, rows.current, rows.unacked
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, second, status_id) DO UPDATE SET
            current = second_counts.current + excluded.current, unacked = second_counts.unacked + excluded.unacked
        """

    private static let addByMinute = """
        INSERT INTO minute_counts (merchant_id, status_id, minute, current, unacked)
        SELECT rows.merchant_id, rows.status_id, rows.time, rows.current, rows.unacked
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, status_id, minute) DO UPDATE SET
            current = minute_counts.current + excluded.current, unacked = minute_counts.unacked + excluded.unacked
        """

    private static let addByReceiver = """
        INSERT INTO receiver_counts (merchant_id, minute, receiver_id, status_id, current, unacked)
        SELECT rows.merchant_id, rows.time, rows.receiver_id, rows.status_id, rows.current, rows.unacked
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, minute, receiver_id, status_id) DO UPDATE SET
            current = receiver_counts.current + excluded.current,
            unacked = receiver_counts.unacked + excluded.unacked
        """
}
