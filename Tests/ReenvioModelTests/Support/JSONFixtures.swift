import ReenvioModel
import Testing

/// The object that a JSON text holds.
func jsonObject(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> JSONObject {
    let value = try JSONParser.parse(text.utf8)
    guard case .object(let object) = value else {
        Issue.record("not an object: \(text)", sourceLocation: sourceLocation)
        return JSONObject()
    }
    return object
}

/// `errors` of a 422 as it would be sent: keys, texts and their order.
func rendered(_ faults: Faults) -> String {
    var writer = JSONWriter()
    faults.write(into: &writer)
    return String(decoding: writer.bytes, as: UTF8.self)
}

extension JSONObject {
    /// A copy with the member at a dotted path set to a JSON text, or without that member for nil.
    func with(_ path: String, _ json: String?) throws -> JSONObject {
        try with(path.split(separator: ".")[...], json)
    }

    private func with(_ path: ArraySlice<Substring>, _ json: String?) throws -> JSONObject {
        let key = String(try #require(path.first))
        var copy = JSONObject()
        if path.count > 1 {
            guard case .object(let inner)? = self[key] else {
                Issue.record("no object at \(key)")
                return self
            }
            copy = self
            copy.set(key, .object(try inner.with(path.dropFirst(), json)))
            return copy
        }
        if let json {
            copy = self
            copy.set(key, try JSONParser.parse(json.utf8))
            return copy
        }
        for member in members where member.key != key { copy.set(member.key, member.value) }
        return copy
    }
}
