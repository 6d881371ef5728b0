import CLibPQ
import Foundation

/// Where a PostgreSQL is: any URI that libpq takes, several hosts and TLS included.
package struct PostgresAddress: Sendable, Equatable {
    private let uri: String
    /// One of the hosts that the URI names, with its port; nil for all of them.
    private var only: [String: String] = [:]

    /// What is wrong with libpq, which is loaded by the first question; nil where nothing is.
    package static var libraryFault: String? { clibpq_load().map { String(cString: $0) } }

    /// - Throws: `StoreError.unavailable` for a text that is no connection URI, and where there is no libpq.
    package init(_ uri: String) throws {
        if let fault = Self.libraryFault { throw StoreError.unavailable(fault) }
        var words: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(uri, &words)
        defer {
            PQconninfoFree(options)
            PQfreemem(words)
        }
        guard options != nil else {
            // The words may quote the text, which holds a password.
            throw StoreError.unavailable("the address of the store is no PostgreSQL URI")
        }
        self.uri = uri
    }

    /// The URI with its passwords hidden; hidden as a whole where one might still show.
    package var withoutPassword: String {
        let shown = uri.replacing(#/:\/\/([^:@\/]*):[^@]*@/#) { "://\($0.output.1):(hidden)@" }
            .replacing(#/(password=)[^&\s]*/#) { "\($0.output.1)(hidden)" }
        let isClean = secrets.allSatisfy { secret in
            !shown.contains(secret) && !(shown.removingPercentEncoding ?? secret).contains(secret)
        }
        return isClean ? shown : "(hidden)"
    }

    private var secrets: [String] {
        options.filter { $0.key.hasSuffix("password") && !$0.value.isEmpty }.map(\.value)
    }

    /// What the URI says.
    private var options: [String: String] {
        let options = PQconninfoParse(uri, nil)
        defer { PQconninfoFree(options) }
        guard var option = options else { return [:] }
        var found: [String: String] = [:]
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return found
    }

    /// libpq's own, whatever the environment says.
    private static let defaultPort = "5432"

    /// The hosts of a URI with several, each alone; none where one of them is left to libpq.
    package var singleHosts: [PostgresAddress] {
        let options = options
        let lists = ["host", "hostaddr", "port"].compactMap { name in
            options[name].map { (name, $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)) }
        }
        let count = lists.map(\.1.count).max() ?? 0
        guard count > 1, lists.contains(where: { $0.0 != "port" }) else { return [] }
        let isWhole = lists.allSatisfy { name, values in
            name == "port" ? [1, count].contains(values.count) : values.count == count && !values.contains("")
        }
        guard isWhole else { return [] }
        return (0..<count).map { index in
            var single = self
            for (name, values) in lists {
                let value = values.count == 1 ? values[0] : values[index]
                // Empty, it would be taken for not said, and the list of the URI for what is meant.
                single.only[name] = value.isEmpty ? Self.defaultPort : value
            }
            return single
        }
    }

    /// What holds where the URI says nothing else: a server that takes writes, a name in its lists, and limits on how
    /// long a network may be silent.
    private static let defaults: [(String, String)] = [
        ("fallback_application_name", "reenvio"), ("connect_timeout", "3"), ("target_session_attrs", "read-write"),
        ("keepalives_idle", "5"), ("keepalives_interval", "2"), ("keepalives_count", "3"), ("tcp_user_timeout", "5000"),
    ]

    /// - Throws: `PostgresError`.
    func connect() throws -> OpaquePointer {
        // Later ones win, and what the URI says is put where it stands.
        let parameters = Self.defaults + [("dbname", uri)] + only.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let keywords = parameters.map { strdup($0.0) }
        let values = parameters.map { strdup($0.1) }
        defer { for text in keywords + values { free(text) } }
        let handle = PQconnectdbParams(
            keywords.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 1)
        guard let handle else { throw PostgresError(sqlState: nil, message: "out of memory") }
        guard PQstatus(handle) == CONNECTION_OK else {
            defer { PQfinish(handle) }
            throw PostgresError(sqlState: nil, message: PostgresError.message(of: handle))
        }
        return handle
    }
}
