package import ReenvioModel

/// `openapi.yaml`, read: what the server says of itself.
package struct APIDescription: Sendable {
    package struct Operation: Sendable, Equatable {
        package var method: String
        package var path: String
        /// Names of the schemes of which one is needed; empty for an open operation.
        package var security: [String]
        package var takesBody: Bool
        var members: JSONObject
    }

    package var operations: [Operation] = []
    let root: JSONObject

    package static let bundled: Result<APIDescription, any Error> = Result {
        try APIDescription(String(decoding: PageResources.openAPI, as: UTF8.self))
    }

    /// - Throws: what is wrong with the text, and where.
    package init(_ text: String) throws {
        guard case .object(let root) = try OutlineText.parse(text), let paths = root["paths"]?.object else {
            throw OutlineText.Mistake(line: 1, why: "there are no paths")
        }
        self.root = root
        for path in paths.members {
            for operation in path.value.object?.members ?? [] {
                guard let members = operation.value.object else { continue }
                let security = members["security"]?.array.flatMap { $0.object?.members.map(\.key) ?? [] }
                operations.append(
                    Operation(
                        method: operation.key.uppercased(), path: path.key, security: security ?? [],
                        takesBody: members["requestBody"] != nil, members: members))
            }
        }
    }

    /// The value itself, or the one it refers to.
    func resolved(_ value: JSONValue?) -> JSONValue? {
        guard let reference = value?.object?["$ref"]?.text, reference.hasPrefix("#/") else { return value }
        var found: JSONValue? = .object(root)
        for name in reference.dropFirst(2).split(separator: "/") { found = found?.object?[String(name)] }
        return found
    }
}

extension JSONValue {
    var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    var array: [JSONValue] { if case .array(let items) = self { items } else { [] } }
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var integer: Int64? { if case .number(let number) = self { number.integer } else { nil } }
    var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
}
