/// Files of `Resources/` as they stand in the binary.
enum PageResources {
    static let openAPI = PackageResources.openapi_yaml
    static let docsStyle = PackageResources.docs_css

    static let templates: [String: [UInt8]] = [
        "docs": PackageResources.docs_mustache
    ]
}
