/// Ids drawn in blocks and not given out yet. They belong to the connection on which they were drawn and end with it:
/// after a failover or a restore the server that is there then may give out the same ones again.
struct PostgresIDs {
    private var stock: [IDSequence: ArraySlice<Int64>] = [:]

    /// Up to `count` ids, the oldest first.
    mutating func take(_ count: Int, of sequence: IDSequence) -> [Int64] {
        let taken = stock[sequence]?.prefix(count) ?? []
        stock[sequence]?.removeFirst(taken.count)
        return Array(taken)
    }

    mutating func put(_ ids: ArraySlice<Int64>, of sequence: IDSequence) {
        if !ids.isEmpty { stock[sequence, default: []] += ids }
    }
}
