import ReenvioStore

/// How a batch of requests goes on whose commit failed.
package enum BatchSplit {
    /// The batch in two where the commit failed because of a row or page, of which nothing was stored: each half is
    /// committed by itself, until only the requests that need the damaged one are refused. Nil where it stays whole.
    package static func halves<Request>(_ batch: [Request], after error: any Error) -> [[Request]]? {
        guard batch.count > 1, case StoreError.failed = error else { return nil }
        let middle = batch.count / 2
        return [Array(batch[..<middle]), Array(batch[middle...])]
    }
}
