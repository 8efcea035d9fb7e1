// Program image writes an OCI archive: an image of one static program and links to it, for one platform or
// several. The same input gives the same bytes, and with them the same digest.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// repeated is a flag of the form KEY=VALUE that can be given several times.
type repeated [][2]string

func (r *repeated) String() string { return fmt.Sprint(*r) }
func (r *repeated) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found {
		return errors.New("expected KEY=VALUE")
	}
	*r = append(*r, [2]string{key, value})
	return nil
}

// plan is what the archive is to hold.
type plan struct {
	output, name, place, user, command string
	programs, links, annotations       repeated
	created                            int64
}

func main() {
	var p plan
	flag.StringVar(&p.output, "output", "", "the archive to write")
	flag.StringVar(&p.name, "name", "", "the image's name with its tag, under which it is imported")
	flag.Var(&p.programs, "program", "PLATFORM=FILE, such as linux/amd64=target/landfall; can be repeated")
	flag.StringVar(&p.place, "place", "", "the program's path in the image; it is the entrypoint")
	flag.Var(&p.links, "link", "PATH=TARGET, a symbolic link in the image; can be repeated")
	flag.StringVar(&p.user, "user", "65532:65532", "the user and group as which it runs")
	flag.StringVar(&p.command, "command", "", "arguments to run with when none are given, separated by spaces")
	flag.Int64Var(&p.created, "created", 0, "when it was made, in seconds since 1970")
	flag.Var(&p.annotations, "annotation", "KEY=VALUE, for the image and its index; can be repeated")
	flag.Parse()
	if p.output == "" || p.name == "" || p.place == "" || len(p.programs) == 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := p.write(); err != nil {
		fmt.Fprintf(os.Stderr, "image: %s: %v\n", p.output, err)
		os.Exit(1)
	}
}

// write makes the archive and prints its digest, and each platform's size as it is pulled.
func (p *plan) write() error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, program := range p.programs {
		platform, err := v1.ParsePlatform(program[0])
		if err != nil {
			return err
		}
		image, err := p.image(program[1], platform)
		if err != nil {
			return err
		}
		size, err := pulled(image)
		if err != nil {
			return err
		}
		fmt.Printf("%s %d bytes\n", platform, size)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	annotated, isIndex := mutate.Annotations(index, p.annotationMap()).(v1.ImageIndex)
	if !isIndex {
		return errors.New("an index with annotations is no index any more")
	}
	digest, err := annotated.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", p.name, digest)
	return p.archive(annotated)
}

func (p *plan) annotationMap() map[string]string {
	annotations := map[string]string{}
	for _, annotation := range p.annotations {
		annotations[annotation[0]] = annotation[1]
	}
	if p.created > 0 {
		annotations["org.opencontainers.image.created"] = time.Unix(p.created, 0).UTC().Format(time.RFC3339)
	}
	return annotations
}

// image is that of one platform.
func (p *plan) image(program string, platform *v1.Platform) (v1.Image, error) {
	content, err := p.layer(program)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: time.Unix(p.created, 0).UTC()}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "tests/cluster/image", Comment: filepath.Base(p.place)},
	})
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Variant, file.Created = platform.Architecture, platform.OS, platform.Variant, created
	file.Config = v1.Config{User: p.user, Entrypoint: []string{p.place}, Cmd: strings.Fields(p.command), Labels: p.annotationMap(), WorkingDir: "/"}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, err
	}
	annotated, isImage := mutate.Annotations(image, p.annotationMap()).(v1.Image)
	if !isImage {
		return nil, errors.New("an image with annotations is no image any more")
	}
	return annotated, nil
}

// layer holds the program, the links and the directories above them, all owned by root and not writable by others.
func (p *plan) layer(program string) ([]byte, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	headers := []*tar.Header{{Typeflag: tar.TypeReg, Name: p.place, Mode: 0o755, Size: int64(len(content))}}
	for _, link := range p.links {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeSymlink, Name: link[0], Linkname: link[1], Mode: 0o777})
	}
	known := map[string]bool{}
	for _, header := range headers {
		for _, directory := range above(header.Name) {
			if !known[directory] {
				known[directory] = true
				if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: directory + "/", Mode: 0o755, ModTime: time.Unix(p.created, 0)}); err != nil {
					return nil, err
				}
			}
		}
		header.Name = strings.TrimPrefix(header.Name, "/")
		header.ModTime = time.Unix(p.created, 0)
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := writer.Write(content); err != nil {
				return nil, err
			}
		}
	}
	return layer.Bytes(), writer.Close()
}

// above gives the directories above a path, the topmost first.
func above(place string) []string {
	var directories []string
	for directory := path.Dir(strings.TrimPrefix(place, "/")); directory != "."; directory = path.Dir(directory) {
		directories = append(directories, directory)
	}
	slices.Reverse(directories)
	return directories
}

// pulled is how many bytes a node fetches for an image.
func pulled(image v1.Image) (int64, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return 0, err
	}
	size, err := image.Size()
	if err != nil {
		return 0, err
	}
	size += manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}

// archive writes the OCI layout of the index as one tar file, put there whole or not at all.
func (p *plan) archive(index v1.ImageIndex) error {
	directory, err := os.MkdirTemp(filepath.Dir(p.output), ".layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	place, err := layout.Write(directory, empty.Index)
	if err != nil {
		return err
	}
	// The whole name for who knows containerd's, the tag for others.
	names := map[string]string{
		"io.containerd.image.name":          p.name,
		"org.opencontainers.image.ref.name": p.name[strings.LastIndex(p.name, ":")+1:],
	}
	if err := place.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(p.output), ".archive-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(p.pack(file, directory), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), p.output)
}

// pack writes the files of a directory in the order of their names, with the same marks whoever runs it and when.
func (p *plan) pack(output io.Writer, directory string) error {
	writer := tar.NewWriter(output)
	err := filepath.WalkDir(directory, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(directory, file)
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(p.created, 0)}
		if err := writer.WriteHeader(header); err != nil {
			return err
		}
		_, err = writer.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return writer.Close()
}
