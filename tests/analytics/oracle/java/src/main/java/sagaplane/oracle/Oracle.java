package sagaplane.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.StringJoiner;

/** Each scenario, with what Kafka Streams made of it: one case a line. */
public final class Oracle {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Oracle() { }

    public static void main(final String[] arguments) throws Exception {
        final JsonNode scenarios = JSON.readTree(Path.of(arguments[0]).toFile());
        final StringJoiner goldens = new StringJoiner(",\n", "[\n", "\n]\n");
        for (final JsonNode scenario : scenarios) {
            goldens.add(JSON.writeValueAsString(answered((ObjectNode) scenario)));
        }
        Files.writeString(Path.of(arguments[1]), goldens.toString());
    }

    private static ObjectNode answered(final ObjectNode scenario) {
        if (scenario.get("kind").asText().equals("join")) {
            scenario.set("pairs", JSON.valueToTree(Joins.pairs(scenario)));
        } else {
            scenario.set("windows", JSON.valueToTree(Aggregates.windows(scenario)));
        }
        return scenario;
    }
}
