import ArgumentParser
@main struct Reenvio: AsyncParsableCommand { func run() async throws {} }
