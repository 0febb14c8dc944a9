import java.io.File;
import java.io.StringWriter;
import java.util.List;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/** Compiles each source file given, alone, in one virtual machine; prints the path of every one that fails. */
class CompileAll {
    public static void main(String[] paths) throws Exception {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null)) {
            for (String path : paths) {
                StringWriter said = new StringWriter();
                String folder = new File(path).getParent();
                List<String> options = List.of("-nowarn", "-proc:none", "-d", folder);
                boolean passed =
                    compiler.getTask(said, files, null, options, null, files.getJavaFileObjects(path)).call();
                System.out.println((passed ? "passed " : "failed ") + path + " " + said.toString().lines().findFirst().orElse(""));
            }
        }
    }
}
