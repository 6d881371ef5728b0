import CLibPQ

/// Statements that were sent and whose answers nobody has waited for. Whoever needs an answer gets it with all of those
/// before it, in one message each way (libpq's pipeline mode, from its version 14 on). They run in the order in which
/// they were sent; after one that fails none of the others does.
final class PostgresPipeline {
    /// From so many bytes on the server is to begin at once, while the next statement is put together.
    private static let worthBeginning = 16_384

    private let link: PostgresLink
    private var handle: OpaquePointer { link.handle }
    /// How many answers are outstanding.
    private(set) var count = 0

    init(_ link: PostgresLink) {
        self.link = link
    }

    func post(_ command: String) throws(PostgresError) {
        try open()
        try posted(PQsendQueryParams(handle, command, 0, nil, nil, nil, nil, 1))
    }

    func post(prepared name: String, _ parameters: PostgresParameters) throws(PostgresError) {
        try open()
        try posted(
            parameters.withPointers { count, values, lengths, formats in
                PQsendQueryPrepared(handle, name, count, values, lengths, formats, 1)
            })
        if parameters.byteCount >= Self.worthBeginning { _ = PQflush(handle) }
    }

    /// Waits for all of them, and returns the answer to the last one, which the caller clears, or the first failure.
    func answers() -> (last: OpaquePointer?, failure: PostgresError?) {
        guard count > 0 else { return (nil, nil) }
        var last: OpaquePointer?
        var failure: PostgresError?
        if PQpipelineSync(handle) != 1 { failure = PostgresError(nil, handle) }
        do throws(PostgresError) {
            while count > 0, failure?.endsConnection != true {
                PQclear(last)
                last = nil
                last = try link.result()
                count -= 1
                if !Self.isFine(last), failure == nil { failure = PostgresError(last, handle) }
                // One answer each, and the end of it.
                if last != nil { PQclear(try link.result()) }
            }
            if failure?.endsConnection != true {
                PQclear(try link.result())
                if PQexitPipelineMode(handle) != 1, failure == nil { failure = PostgresError(nil, handle) }
            }
        } catch {
            failure = failure ?? error
        }
        count = 0
        guard failure != nil else { return (last, nil) }
        PQclear(last)
        return (nil, failure)
    }

    static func isFine(_ result: OpaquePointer?) -> Bool {
        let status = PQresultStatus(result)
        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
    }

    private func open() throws(PostgresError) {
        if count == 0, PQenterPipelineMode(handle) != 1 { throw PostgresError(nil, handle) }
    }

    private func posted(_ isSent: CInt) throws(PostgresError) {
        guard isSent == 1 else { throw PostgresError(nil, handle) }
        count += 1
    }
}
