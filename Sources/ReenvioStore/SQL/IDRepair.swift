/// An id that was drawn from a sequence here is stored already: the sequence is behind its table, as after a failover
/// to a standby that was behind, or a restore. Engines repair that and run the transaction again.
struct DuplicateID: Error, Equatable {
    var sequence: IDSequence

    var storeError: StoreError {
        .failed("the sequence of \(sequence.rawValue) ids is behind what is stored, and could not be moved")
    }
}

extension IDSequence {
    /// The tables whose key is an id of the sequence. Ids of events are in no key.
    var tables: [String] {
        switch self {
        case .account: ["accounts"]
        case .merchant: ["merchants"]
        case .payout: ["payouts"]
        case .notification: ["notifications"]
        case .receiver: ["receivers"]
        case .delivery: ["deliveries"]
        case .resend: ["resends", "resend_batches"]
        case .audit: ["audit"]
        case .registration: ["registrations"]
        case .user: ["users"]
        case .qrCode: ["qr_codes"]
        case .notice: ["notices"]
        case .event: []
        }
    }

    /// The sequence whose ids are the key of a table.
    init?(keyOf table: some StringProtocol) {
        guard let found = Self.allCases.first(where: { $0.tables.contains { $0 == table } }) else { return nil }
        self = found
    }

    /// What is added where not every stored id is looked at: ended deliveries and events have no index by id.
    private static let margin: Int64 = 1 << 20

    /// Selects the largest stored id, or one beyond it; null where there is none.
    fileprivate var largestStored: [String] {
        switch self {
        case .delivery:
            [
                "SELECT max(id) + \(Self.margin) FROM deliveries",
                "SELECT max(delivery_id) + \(Self.margin) FROM delivery_marks",
            ]
        // Drawn together with ids of notifications.
        case .event: ["SELECT max(id) + \(Self.margin) FROM notifications"]
        default: tables.map { "SELECT max(id) FROM \($0)" }
        }
    }
}

extension SQLConnection {
    /// Moves every sequence beyond the ids that are stored; one node at a time.
    func passStoredIDs() throws {
        for statement in dialect.beforePassingStoredIDs { try run(statement) }
        for sequence in IDSequence.allCases {
            for largest in sequence.largestStored {
                let id = try first(largest) { $0.intIfPresent(0) } ?? nil
                if let id { try pass(sequence, id) }
            }
        }
    }

    /// For an insert that skipped its row: whether that was for the id, which was drawn.
    /// - Throws: `DuplicateID` then.
    func expectFree(_ id: Int64, of sequence: IDSequence) throws {
        for table in sequence.tables {
            let isStored = try first("SELECT 1 FROM \(table) WHERE id = $1", [.int(id)]) { $0.int(0) } != nil
            if isStored { throw DuplicateID(sequence: sequence) }
        }
    }
}
