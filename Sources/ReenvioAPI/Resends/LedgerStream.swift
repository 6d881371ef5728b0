import ReenvioModel

/// A whole ledger as one answer, a piece in memory at a time. No snapshot is held while a client reads; each piece is
/// one of its own. The first is read before the answer begins, so that a store that cannot be read is 503.
enum LedgerStream {
    static func answer<Row: LedgerRow, Place: Sendable>(
        _ format: LedgerFormat, headers: [String: String],
        pieces: @escaping @Sendable (Place?) async throws -> (items: [Row], after: Place?)
    ) async throws -> Answer {
        let first = try await pieces(nil)
        return .streamed(format.contentType, headers: headers) { write in
            try await write(format.head(of: Row.self) + format.bytes(first.items))
            var after = first.after
            while let place = after {
                let next = try await pieces(place)
                try await write(format.bytes(next.items))
                after = next.after
            }
        }
    }
}
