/// Files of `Resources/` as they stand in the binary.
enum PageResources {
    static let openAPI = PackageResources.openapi_yaml
    static let docsStyle = PackageResources.docs_css
    static let dashboardStyle = PackageResources.dashboard_css
    static let dashboardScript = PackageResources.dashboard_js

    static let templates: [String: [UInt8]] = [
        "docs": PackageResources.docs_mustache,
        "head": PackageResources.head_mustache,
        "foot": PackageResources.foot_mustache,
        "curl": PackageResources.curl_mustache,
        "faults": PackageResources.faults_mustache,
        "sign_in": PackageResources.sign_in_mustache,
        "problem": PackageResources.problem_mustache,
        "overview": PackageResources.overview_mustache,
        "payouts": PackageResources.payouts_mustache,
        "payout": PackageResources.payout_mustache,
        "resend": PackageResources.resend_mustache,
        "jobs": PackageResources.jobs_mustache,
        "batch": PackageResources.batch_mustache,
        "job": PackageResources.job_mustache,
        "log": PackageResources.log_mustache,
        "receivers": PackageResources.receivers_mustache,
        "settings": PackageResources.settings_mustache,
    ]
}
