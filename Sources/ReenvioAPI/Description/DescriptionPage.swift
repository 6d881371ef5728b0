import ReenvioModel

/// The API description as a page to read.
struct DescriptionPage {
    private let description: APIDescription

    init(_ description: APIDescription) {
        self.description = description
    }

    var view: View {
        var view = View()
        let info = description.root["info"]?.object
        view.text("title", info?["title"]?.text)
        view.text("summary", info?["summary"]?.text)
        view.text("description", info?["description"]?.text)
        let tags = (description.root["tags"]?.array ?? []).compactMap { $0.object?["name"]?.text }
        view.list("groups", tags.map(group))
        let schemas = description.root["components"]?.object?["schemas"]?.object?.members ?? []
        view.list("schemas", schemas.map { schema($0.key, $0.value) })
        return view
    }

    private func group(_ tag: String) -> View {
        var view = View()
        view.text("name", tag)
        view.text("anchor", Self.anchor(tag))
        let own = description.operations.filter { $0.members["tags"]?.array.first?.text == tag }
        view.list("operations", own.map(operation))
        return view
    }

    private func operation(_ operation: APIDescription.Operation) -> View {
        var view = View()
        view.text("method", operation.method)
        view.text("path", operation.path)
        view.text("anchor", operation.members["operationId"]?.text)
        view.text("summary", operation.members["summary"]?.text)
        view.text("description", operation.members["description"]?.text)
        view.text("credential", Self.credential(operation.security))
        view.list(
            "parameters",
            (operation.members["parameters"]?.array ?? []).compactMap { description.resolved($0)?.object }.map(
                parameter))
        let body = operation.members["requestBody"]?.object?["content"]?.object?.members.first?.value.object?["schema"]
        view.text("body", body?.object?["$ref"]?.text.map(Self.name))
        let responses = operation.members["responses"]?.object?.members ?? []
        view.list("responses", responses.map { response($0.key, $0.value) })
        return view
    }

    private static func credential(_ security: [String]) -> String {
        switch security.first {
        case "apiKey": "API key"
        case "operatorKey": "operator key"
        case "accessToken": "access token"
        default: "no credential"
        }
    }

    private func parameter(_ parameter: JSONObject) -> View {
        var view = View()
        view.text("name", parameter["name"]?.text)
        view.text("place", parameter["in"]?.text)
        view.flag("required", parameter["required"] == .bool(true))
        view.text("type", type(parameter["schema"]))
        view.text("description", parameter["description"]?.text)
        return view
    }

    private func response(_ code: String, _ value: JSONValue) -> View {
        let response = description.resolved(value)?.object
        var view = View()
        view.text("code", code)
        view.text("description", response?["description"]?.text)
        let schema = response?["content"]?.object?.members.first?.value.object?["schema"]
        view.text("schema", schema?.object?["$ref"]?.text.map(Self.name))
        return view
    }

    private func schema(_ name: String, _ value: JSONValue) -> View {
        let schema = value.object
        var view = View()
        view.text("name", name)
        view.text("description", schema?["description"]?.text)
        let required = (schema?["required"]?.array ?? []).compactMap(\.text)
        let properties = schema?["properties"]?.object?.members ?? []
        view.list(
            "properties",
            properties.map { property in
                var view = View()
                view.text("name", property.key)
                view.flag("required", required.contains(property.key))
                view.text("type", type(property.value))
                view.text("description", property.value.object?["description"]?.text)
                return view
            })
        if properties.isEmpty { view.text("type", type(value)) }
        return view
    }

    /// What a schema allows, in a few words.
    private func type(_ value: JSONValue?) -> String {
        guard let schema = value?.object else { return "" }
        if let reference = schema["$ref"]?.text { return Self.name(reference) }
        if let choices = schema["oneOf"]?.array { return choices.map(type).joined(separator: " or ") }
        if let values = schema["enum"]?.array { return values.map(Self.word).joined(separator: " | ") }
        let names = schema["type"].map { $0.array.isEmpty ? [$0] : $0.array } ?? []
        var words = names.compactMap(\.text).map { $0 == "array" ? "array of \(type(schema["items"]))" : $0 }
        if words.first == "object", let members = schema["properties"]?.object?.members {
            words[0] = "{ " + members.map { "\($0.key): \(type($0.value))" }.joined(separator: ", ") + " }"
        }
        return words.joined(separator: " or ") + bounds(schema)
    }

    private func bounds(_ schema: JSONObject) -> String {
        let words = [
            ("format", ""), ("minimum", "from "), ("maximum", "to "), ("minLength", "from characters: "),
            ("maxLength", "at most characters: "), ("default", "default "),
        ].compactMap { key, prefix in schema[key].map { prefix + Self.word($0) } }
        return words.isEmpty ? "" : " (" + words.joined(separator: ", ") + ")"
    }

    private static func word(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .number(let number): number.text
        case .bool(let flag): "\(flag)"
        default: "null"
        }
    }

    private static func name(_ reference: String) -> String {
        String(reference.split(separator: "/").last ?? "")
    }

    private static func anchor(_ tag: String) -> String {
        tag.lowercased().replacing(" ", with: "-")
    }
}
